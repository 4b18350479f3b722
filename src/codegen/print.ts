/** Kernels of the IR as text, for people: what LONGZHOU_DEBUG=3 prints and the documentation shows. */
import type { Expr, Kernel, Stmt } from './kernel.ts'

const infix: Record<string, string> = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  rem: '%',
  and: '&',
  or: '|',
  xor: '^',
  shl: '<<',
  shr: '>>',
  ushr: '>>>',
  eq: '==',
  ne: '!=',
  lt: '<',
  le: '<=',
  gt: '>',
  ge: '>=',
}

function expression(e: Expr): string {
  switch (e.kind) {
    case 'const':
      return String(e.value)
    case 'parameter':
      return `p${e.index}`
    case 'variable':
      return e.name
    case 'unary':
      return `${e.op}(${expression(e.x)})`
    case 'binary':
    case 'compare':
      return infix[e.op]
        ? `(${expression(e.a)} ${infix[e.op]} ${expression(e.b)})`
        : `${e.op}(${expression(e.a)}, ${expression(e.b)})`
    case 'select':
      return `(${expression(e.condition)} ? ${expression(e.a)} : ${expression(e.b)})`
    case 'fma':
      return `fma(${expression(e.a)}, ${expression(e.b)}, ${expression(e.c)})`
    case 'convert':
    case 'bitcast':
      return `${e.kind === 'bitcast' ? 'bits_' : ''}${e.type.scalar}(${expression(e.x)})`
    case 'load':
      return `p${e.buffer}[${expression(e.at)}${e.type.lanes > 1 ? ` x${e.type.lanes}` : ''}]`
    case 'pairs':
      return `p${e.buffer}[${expression(e.at)} pairs${e.type.lanes > 1 ? ` x${e.type.lanes}` : ''}]`
    case 'dot':
      return `dot(${expression(e.a)}, ${expression(e.b)}, ${expression(e.c)})`
    case 'zip':
      return `zip${e.run}_${e.span}_${e.half}(${expression(e.a)}, ${expression(e.b)})`
    case 'splat':
      return `splat${e.type.lanes}(${expression(e.x)})`
    case 'gather':
      return `p${e.buffer}[${expression(e.at)} step ${expression(e.stride)} x${e.type.lanes}]`
    case 'ramp':
      return `ramp(${expression(e.base)})`
    case 'reduceLanes':
      return `lanes_${e.op}(${expression(e.x)})`
    case 'call':
      return `${e.fn}(${e.args.map(expression).join(', ')})`
  }
}

function statement(s: Stmt, indent: string): string[] {
  const inner = (body: readonly Stmt[]): string[] => body.flatMap((b) => statement(b, `${indent}  `))
  switch (s.kind) {
    case 'let':
    case 'declare':
      return [
        `${indent}${s.kind === 'declare' ? 'var' : 'let'} ${s.name}: ${s.value.type.scalar}${s.value.type.lanes > 1 ? `x${s.value.type.lanes}` : ''} = ${expression(s.value)}`,
      ]
    case 'assign':
      return [`${indent}${s.name} = ${expression(s.value)}`]
    case 'accumulate':
      return [`${indent}${s.name} = ${s.op}(${s.name}, ${expression(s.value)})`]
    case 'store':
      return [
        `${indent}p${s.buffer}[${expression(s.at)}${s.stride ? ` by ${expression(s.stride)}` : ''}] = ${expression(s.value)}`,
      ]
    case 'for':
      return [
        `${indent}${s.loop} ${s.name} = ${expression(s.from)} .. ${expression(s.to)}${s.step === 1 ? '' : ` step ${s.step}`}`,
        ...inner(s.body),
      ]
    case 'if':
      return [
        `${indent}if ${expression(s.condition)}`,
        ...inner(s.then),
        ...(s.else.length > 0 ? [`${indent}else`, ...inner(s.else)] : []),
      ]
    case 'tiles': {
      const [target, a, b] = [
        `p${s.target}[${expression(s.at)}]`,
        `p${s.a}[${expression(s.aAt)}]`,
        `p${s.b}[${expression(s.bAt)}]`,
      ]
      const w = s.window
      const window = w
        ? ` taps ${expression(w.taps)} at p${w.table}[${expression(w.tableAt)}], ${expression(w.block)} a block, ${expression(w.part)} a part, ${expression(w.pair)} a pair`
        : ''
      const made = s.stream?.split
      const split = made ? `, ${made.operand} split from [${expression(made.at)}] if ${expression(made.when)}` : ''
      const ahead = s.stream ? `, then p${s.stream.buffer}[${expression(s.stream.ahead)}]${split}` : ''
      return [
        `${indent}tiles${s.parts === 1 ? '' : s.parts} ${target} (${expression(s.accumulate)} ? += : =) ${a} * ${b} x${expression(s.steps)}${window}${ahead}`,
      ]
    }
    case 'prefetch':
      return [`${indent}prefetch p${s.buffer}[${expression(s.at)}]`]
    case 'fail':
      return [`${indent}fail ${s.code}`]
    case 'comment':
      return [`${indent}# ${s.text}`]
  }
}

/** A kernel, parameters first. */
export function printKernel(kernel: Kernel): string {
  const parameters = kernel.parameters.map((p, i) => {
    const what =
      p.kind === 'buffer'
        ? `${p.access} ${p.dtype}[]`
        : p.kind === 'scalar'
          ? p.type
          : p.kind === 'scratch'
            ? `scratch ${p.dtype}[]`
            : 'index'
    return `p${i}: ${what}`
  })
  return [`kernel ${kernel.title} (${parameters.join(', ')})`, ...kernel.body.flatMap((s) => statement(s, '  '))].join(
    '\n',
  )
}
