/**
 * The engine of this package. A model that was prepared before, by any process, is run from the cache (kept/); others are read and recorded
 * (program-session.ts), which is loaded only then: it brings the readers, the tensors and the compiler.
 */
import { tracingFiles } from '../io/file-trace.ts'
import type { Engine, EngineOptions, Session } from './engine.ts'
import { KeptSession } from './kept/session.ts'
import { keptModels, type KeptModels } from './kept/store.ts'

export const longzhou: Engine = {
  takes: ['device', 'threads', 'precision', 'cache', 'maxShapes'],
  async load(model, options) {
    if (typeof model !== 'string') {
      const { ProgramSession } = await import('./program-session.ts')
      return new ProgramSession(model, options)
    }
    const models = keptModels(options)
    const kept = await models?.find(model)
    return kept ? new KeptSession(kept, options, () => read(model, options, models)) : read(model, options, models)
  },
}

async function read(model: string, options: EngineOptions, models: KeptModels | null | undefined): Promise<Session> {
  const [{ ProgramSession }, { readModel }] = await Promise.all([
    import('./program-session.ts'),
    import('./read-model.ts'),
  ])
  const { value, files } = await tracingFiles(() => readModel(model))
  if (!models) return new ProgramSession(value, options)
  const { keeperOf } = await import('./kept/keep.ts')
  return new ProgramSession(value, options, keeperOf(models, model, files, options))
}
