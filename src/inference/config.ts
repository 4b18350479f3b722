/** `paddle.inference.Config`: the options of a predictor by the methods that users of Paddle Inference know. */
import { ArgumentError } from '../common/errors.ts'
import type { EngineOptions } from './engine.ts'

/** What a Config says: the options of `createPredictor`, with the parameters' file where it is named. */
export interface Configured extends EngineOptions {
  readonly model: string
  readonly parameters?: string
  readonly engine?: 'longzhou' | 'onnxruntime'
}

/**
 * A model and how it is run. What Paddle has switches for and is always so here (graph optimisation, reuse of memory, vectorised kernels) can be
 * switched on, and throws ArgumentError where it is switched off.
 * @example
 * const config = new Config('inference.pdmodel', 'inference.pdiparams')
 * config.setCpuMathLibraryNumThreads(2)
 * const predictor = await createPredictor(config)
 */
export class Config {
  #program: string | undefined
  #parameters: string | undefined
  #device: string | undefined
  #threads: number | undefined
  #cache: string | undefined
  #precision: EngineOptions['precision']
  #engine: 'onnxruntime' | undefined

  /** `program`: a model file of any format, or a directory that holds one; `parameters`: Paddle's file of parameters where it does not stand beside. */
  constructor(program?: string, parameters?: string) {
    if (program !== undefined) this.setModel(program, parameters)
  }

  /** As the constructor. */
  setModel(program: string, parameters?: string): void {
    this.#program = program
    this.#parameters = parameters
  }

  /** Path of the model. */
  progFile(): string {
    return this.#program ?? ''
  }

  /** Path of the parameters, '' where it was not given. */
  paramsFile(): string {
    return this.#parameters ?? ''
  }

  /** Threads that may work for one run. */
  setCpuMathLibraryNumThreads(threads: number): void {
    this.#threads = threads
  }

  /** On an NVIDIA GPU; `memoryMb`, the pool's first size in Paddle, is not needed. */
  enableUseGpu(_memoryMb = 100, deviceId = 0): void {
    this.#device = `gpu:${deviceId}`
  }

  /** On the CPU. */
  disableGpu(): void {
    this.#device = 'cpu'
  }

  useGpu(): boolean {
    return this.#device?.startsWith('gpu') ?? false
  }

  /** Runs the model by ONNX Runtime, converted in memory; needs the package onnxruntime-node. */
  enableOnnxruntime(): void {
    this.#engine = 'onnxruntime'
  }

  disableOnnxruntime(): void {
    this.#engine = undefined
  }

  onnxruntimeEnabled(): boolean {
    return this.#engine === 'onnxruntime'
  }

  /** Multiplies in bfloat16. */
  enableMkldnnBfloat16(): void {
    this.#precision = 'bfloat16'
  }

  /** Directory that keeps what is compiled. */
  setOptimCacheDir(directory: string): void {
    this.#cache = directory
  }

  /** Always on. Throws ArgumentError for false. */
  switchIrOptim(on = true): void {
    if (!on) throw new ArgumentError('Config: graph optimisation is always on; leave switchIrOptim(false) out')
  }

  /** Always on. Throws ArgumentError for false. */
  enableMemoryOptim(on = true): void {
    if (!on) throw new ArgumentError('Config: reuse of memory is always on; leave enableMemoryOptim(false) out')
  }

  /** Always on: kernels are generated for this processor. */
  enableMkldnn(): void {}

  /** The same as options of `createPredictor`. Throws ArgumentError without a model. */
  options(): Configured {
    if (this.#program === undefined)
      throw new ArgumentError('Config: there is no model; call setModel(program, parameters)')
    return {
      model: this.#program,
      ...(this.#parameters !== undefined && { parameters: this.#parameters }),
      ...(this.#engine !== undefined && { engine: this.#engine }),
      ...(this.#device !== undefined && { device: this.#device }),
      ...(this.#threads !== undefined && { threads: this.#threads }),
      ...(this.#precision !== undefined && { precision: this.#precision }),
      ...(this.#cache !== undefined && { cache: this.#cache }),
    }
  }
}
