/** Parameter: a tensor that an optimizer trains, and ParamAttr, what a user says about one before it exists. */
import type { DType, HostArray } from '../common/dtype.ts'
import { ArgumentError } from '../common/errors.ts'
import { makeLeaf } from '../graph/node.ts'
import { getDevice } from '../tensor/device.ts'
import { storageFrom, Tensor } from '../tensor/tensor.ts'
import { Initializer } from './initializer/index.ts'

/** A weight penalty: the optimizer adds `gradientOf(parameter)` to the gradient (L1Decay, L2Decay). */
export interface Regularizer {
  gradientOf(parameter: Tensor): Tensor
}

export interface ParamAttrOptions {
  /** Default: made from the layer's name, such as `linear_0.w_0`. */
  readonly name?: string
  /** Default: the layer's own. */
  readonly initializer?: Initializer
  /** Factor on the optimizer's learning rate. Default 1. */
  readonly learningRate?: number
  /** Replaces the optimizer's weight decay for this parameter. */
  readonly regularizer?: Regularizer
  /** Default true. */
  readonly trainable?: boolean
  /** Whether gradient clipping covers this parameter. Default true. */
  readonly needClip?: boolean
}

/** What a user says about a parameter, as `paddle.ParamAttr`. */
export class ParamAttr {
  readonly name: string | undefined
  readonly initializer: Initializer | undefined
  readonly learningRate: number
  readonly regularizer: Regularizer | undefined
  readonly trainable: boolean
  readonly needClip: boolean

  constructor(options: ParamAttrOptions = {}) {
    this.name = options.name
    this.initializer = options.initializer
    this.learningRate = options.learningRate ?? 1
    this.regularizer = options.regularizer
    this.trainable = options.trainable ?? true
    this.needClip = options.needClip ?? true
  }
}

/** Where a layer takes a ParamAttr it also takes its options, a name, or an initialiser. */
export type ParamAttrLike = ParamAttr | ParamAttrOptions | Initializer | string | null | undefined

/** The attribute that a user meant. */
export function toParamAttr(attr: ParamAttrLike): ParamAttr {
  if (attr === null || attr === undefined) return new ParamAttr()
  if (attr instanceof ParamAttr) return attr
  if (typeof attr === 'string') return new ParamAttr({ name: attr })
  if (attr instanceof Initializer) return new ParamAttr({ initializer: attr })
  if (typeof attr === 'object') return new ParamAttr(attr)
  throw new ArgumentError(
    `a parameter's attribute must be a ParamAttr, a name, an Initializer, or false for no parameter, got ${typeof attr}`,
  )
}

/** A tensor that an optimizer trains, as `paddle.base.framework.EagerParamBase`. Layers make them with `createParameter`. */
export class Parameter<D extends DType = DType> extends Tensor<D> {
  /** Factor on the optimizer's learning rate. */
  optimizeAttr: { learningRate: number }
  /** Replaces the optimizer's weight decay for this parameter. */
  regularizer: Regularizer | null
  /** Whether gradient clipping covers this parameter. */
  needClip: boolean
  /** Whether each process holds a part of its own (model parallelism). */
  isDistributed = false

  constructor(value: HostArray, name: string, attr: ParamAttr = new ParamAttr(), device: string = getDevice()) {
    super(makeLeaf(storageFrom(value, device), [...value.shape], false), name)
    this.optimizeAttr = { learningRate: attr.learningRate }
    this.regularizer = attr.regularizer ?? null
    this.needClip = attr.needClip
    this.stopGradient = !attr.trainable
  }

  /** Whether the optimizer changes it: the opposite of `stopGradient`. */
  get trainable(): boolean {
    return !this.stopGradient
  }

  set trainable(trainable: boolean) {
    this.stopGradient = !trainable
  }

  override toString(): string {
    return `Parameter(name=${this.name}, ${super.toString().slice('Tensor('.length)}`
  }
}
