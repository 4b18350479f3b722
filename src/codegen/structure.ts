/** Structural keys of kernels: two 32-bit hashes over everything but the title. */
import type { CompiledKernel, Expr, Kernel, Parameter, Stmt } from './kernel.ts'
import { streamOperands, windowOperands } from './walk.ts'

const doubles = new Float64Array(1)
const words = new Int32Array(doubles.buffer)
const known = new WeakMap<Kernel, string>()
/** Numbers that stand for strings: kernels are made of a few hundred different ones, and names of variables. */
const strings = new Map<string, number>()
const mostStrings = 8192

let a = 0
let b = 0

function mix(n: number): void {
  a = (Math.imul(a ^ n, 0x01000193) + (a >>> 15)) | 0
  b = Math.imul(b + n, 0xc2b2ae35 | 0) ^ (b >>> 13)
}

function mixText(text: string): void {
  let h = strings.get(text)
  if (h === undefined) {
    h = hashOf(text)
    if (strings.size >= mostStrings) strings.clear()
    strings.set(text, h)
  }
  mix(h)
}

function hashOf(text: string): number {
  let h = text.length
  for (let i = 0; i < text.length; i++) h = (Math.imul(h ^ text.charCodeAt(i), 0x01000193) + (h >>> 15)) | 0
  return h
}

function mixNumber(value: number | bigint): void {
  if (typeof value === 'bigint') {
    mix(Number(BigInt.asIntN(32, value)))
    mix(Number(BigInt.asIntN(32, value >> 32n)))
    mix(4)
  } else if ((value | 0) === value && value !== 0) mix(value)
  else {
    doubles[0] = value
    mix(words[0]!)
    mix(words[1]!)
    mix(5)
  }
}

function mixParameter(p: Parameter): void {
  mixText(p.kind)
  if (p.kind === 'buffer') mixText(p.access)
  if (p.kind === 'buffer' || p.kind === 'scratch') mixText(p.dtype)
  else if (p.kind === 'scalar') mixText(p.type)
}

function mixExpression(e: Expr): void {
  mixText(e.kind)
  mixText(e.type.scalar)
  mix(e.type.lanes)
  switch (e.kind) {
    case 'const':
      return mixNumber(e.value)
    case 'parameter':
      return mix(e.index)
    case 'variable':
      return mixText(e.name)
    case 'unary':
    case 'reduceLanes':
      mixText(e.op)
      return mixExpression(e.x)
    case 'binary':
    case 'compare':
      mixText(e.op)
      mixExpression(e.a)
      return mixExpression(e.b)
    case 'select':
      mixExpression(e.condition)
      mixExpression(e.a)
      return mixExpression(e.b)
    case 'fma':
    case 'dot':
      mixExpression(e.a)
      mixExpression(e.b)
      return mixExpression(e.c)
    case 'convert':
    case 'bitcast':
    case 'splat':
      return mixExpression(e.x)
    case 'load':
    case 'pairs':
      mix(e.buffer)
      return mixExpression(e.at)
    case 'gather':
      mix(e.buffer)
      mixExpression(e.at)
      return mixExpression(e.stride)
    case 'zip':
      mix(e.run)
      mixText(e.span)
      mixText(e.half)
      mixExpression(e.a)
      return mixExpression(e.b)
    case 'ramp':
      return mixExpression(e.base)
    case 'call':
      mixText(e.fn)
      mix(e.args.length)
      for (const x of e.args) mixExpression(x)
      return
    default:
      e satisfies never
  }
}

function mixBlock(block: readonly Stmt[]): void {
  mix(block.length)
  for (const s of block) mixStatement(s)
}

function mixStatement(s: Stmt): void {
  mixText(s.kind)
  switch (s.kind) {
    case 'let':
    case 'declare':
    case 'assign':
      mixText(s.name)
      return mixExpression(s.value)
    case 'accumulate':
      mixText(s.name)
      mixText(s.op)
      return mixExpression(s.value)
    case 'store':
      mix(s.buffer)
      mixExpression(s.at)
      mixExpression(s.value)
      mix(s.stride ? 1 : 0)
      if (s.stride) mixExpression(s.stride)
      return
    case 'for':
      mixText(s.loop)
      mixText(s.name)
      mixExpression(s.from)
      mixExpression(s.to)
      mix(s.step)
      mix(s.unroll ?? -1)
      return mixBlock(s.body)
    case 'if':
      mixExpression(s.condition)
      mixBlock(s.then)
      return mixBlock(s.else)
    case 'tiles':
      mix(s.parts)
      mix(s.target)
      mix(s.a)
      mix(s.b)
      for (const x of [s.at, s.aAt, s.bAt, s.steps, s.accumulate]) mixExpression(x)
      mix(s.window ? s.window.table : -1)
      if (s.window) for (const x of windowOperands(s.window)) mixExpression(x)
      mix(s.stream ? s.stream.buffer : -1)
      mixText(s.stream?.split?.operand ?? '')
      if (s.stream) for (const x of streamOperands(s.stream)) mixExpression(x)
      return
    case 'prefetch':
      mix(s.buffer)
      return mixExpression(s.at)
    case 'fail':
      return mix(s.code)
    case 'comment':
      return mixText(s.text)
    default:
      s satisfies never
  }
}

/** Equal for kernels that differ in their titles only. */
export function structureOf(kernel: Kernel | CompiledKernel): string {
  if ('structure' in kernel) return kernel.structure
  const found = known.get(kernel)
  if (found) return found
  a = 0x9e3779b9 | 0
  b = 0x85ebca6b | 0
  mix(kernel.parameters.length)
  for (const p of kernel.parameters) mixParameter(p)
  mixBlock(kernel.body)
  const key = `${(a >>> 0).toString(16)}-${(b >>> 0).toString(16)}`
  known.set(kernel, key)
  return key
}

/** The same kernel by another name. */
export function retitled(kernel: Kernel, title: string): Kernel {
  const { parameters, body } = kernel
  const renamed = { title, parameters, body }
  known.set(renamed, structureOf(kernel))
  return renamed
}
