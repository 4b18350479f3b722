/** `longzhou bench --kernels MODEL`: where the time of a step goes, kernel by kernel, under the roofline of this machine. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { CpuBackend } from '../../../runtime/cpu/backend.ts'
import { machineRoofline } from '../../../runtime/cpu/roofline.ts'
import { summarizeKernels } from '../../../runtime/kernel-summary.ts'
import { backendOf, getDevice } from '../../../tensor/device.ts'
import { createPredictor } from '../../../inference/index.ts'
import { synchronize } from '../../../tensor/index.ts'
import { observeRuns, type ProfiledRun } from '../../../tensor/profile.ts'
import { UsageError } from '../../errors.ts'
import type { KernelProfile } from './measure.ts'
import { INFERENCE_CASES, inputsOf, programOf, type InferenceCase } from './inference-cases.ts'
import { prepareWorkload, WORKLOADS, type StepSettings } from './workloads.ts'

export interface ProfileOptions extends StepSettings {
  /** Steps that are profiled, after two that plan, compile and warm up. */
  readonly steps: number
}

/** What takes one step of a workload, runs a network of the inference benchmark, or the function `step` that a module exports. Throws UsageError. */
async function stepOf(model: string, settings: StepSettings): Promise<() => unknown> {
  const workload = WORKLOADS.find((w) => w.name === model)
  if (workload) return prepareWorkload(workload, settings)
  const inference = INFERENCE_CASES.find((c) => c.name === model)
  if (inference) return runOf(inference)
  const names = [...WORKLOADS, ...INFERENCE_CASES].map((w) => w.name).join(', ')
  const path = resolve(model)
  if (!existsSync(path))
    throw new UsageError(`--kernels is '${model}', expected a workload (${names}) or a module's path`)
  if (settings.bfloat16) throw new UsageError('--amp goes with a workload; a module chooses its own precision')
  const { step } = (await import(pathToFileURL(path).href)) as Record<string, unknown>
  if (typeof step !== 'function')
    throw new UsageError(`${model} does not export a function 'step', which takes one step when it is called`)
  return () => (step as () => unknown)()
}

/** What runs a network of the inference benchmark once. */
async function runOf(test: InferenceCase): Promise<() => unknown> {
  const model = await programOf(test, resolve('.'))
  const predictor = await createPredictor({ model })
  const inputs = inputsOf(test, model)
  return () => predictor.run(inputs)
}

/** Profiles steps on the current device. */
export async function profileKernels(model: string, options: ProfileOptions): Promise<KernelProfile> {
  const { steps } = options
  const backend = backendOf(getDevice())
  if (backend instanceof CpuBackend) await machineRoofline(backend)
  const step = await stepOf(model, options)
  for (let i = 0; i < 2; i++) await step()
  await synchronize()
  const runs: ProfiledRun[] = []
  const end = observeRuns((run) => runs.push(run))
  const started = performance.now()
  try {
    for (let i = 0; i < steps; i++) await step()
    await synchronize()
  } finally {
    end()
  }
  const totalMs = performance.now() - started
  const summary = summarizeKernels(runs, backend.roof?.() ?? null, steps, totalMs)
  return {
    model,
    device: backend.name,
    threads: backend.capabilities.threads,
    steps,
    ...summary,
    rows: [...summary.rows],
  }
}
