/**
 * A compiled model as one C file: kernels, the executor, tables of its plans, and the functions of its header. Everything but those is static,
 * so that several models can be linked into one program, and nothing runs before main.
 */
import { dtypes, sizeOf } from '../../common/dtype.ts'
import { numel, type Shape } from '../../common/shape.ts'
import { renderKernel, translationUnit, type CKernel } from '../../render/c.ts'
import { constantText, stringText } from '../../render/c-text.ts'
import { launchesOf } from '../../schedule/plan.ts'
import { encodePlan, type Word } from '../cpu/encode.ts'
import { executorIncludes, executorSource } from '../cpu/executor.c.ts'
import { apiSource, tableTypes } from './api.c.ts'
import { dtypeNumbers } from './header.ts'
import { describeInputs, type AheadModel, type AheadProgram, type Place, type PlaceKind, type Port } from './model.ts'
import type { Target } from './target.ts'

/** Macros that compilers define for instruction sets, and the names that `__builtin_cpu_supports` has for them. */
const featureNames: Readonly<Record<string, readonly [macro: string, builtin: string]>> = {
  avx: ['__AVX__', 'avx'],
  avx2: ['__AVX2__', 'avx2'],
  fma: ['__FMA__', 'fma'],
  bmi1: ['__BMI__', 'bmi'],
  bmi2: ['__BMI2__', 'bmi2'],
  avx512f: ['__AVX512F__', 'avx512f'],
  avx512bw: ['__AVX512BW__', 'avx512bw'],
  avx512cd: ['__AVX512CD__', 'avx512cd'],
  avx512dq: ['__AVX512DQ__', 'avx512dq'],
  avx512vl: ['__AVX512VL__', 'avx512vl'],
}

const architectureMacros: Readonly<Record<Target['architecture'], string>> = {
  x64: '__x86_64__',
  arm64: '__aarch64__',
}

const placeNames: Readonly<Record<PlaceKind, string>> = {
  input: 'AT_INPUT',
  output: 'AT_OUTPUT',
  resident: 'AT_RESIDENT',
  transient: 'AT_TRANSIENT',
  constant: 'AT_CONSTANT',
}

/** Kernels name all their parameters, mark loops for compilers that are asked to vectorise them, and write no parentheses that C does not need. */
const unusual = ['-Wunused-parameter', '-Wunused-variable', '-Wunknown-pragmas', '-Wparentheses']

/** The C file; it includes `NAME.h`. */
export function modelSource(model: AheadModel): string {
  const { name, target } = model
  const kernels = new KernelTable(target.capabilities.vectorBytes)
  const programs = model.shapes.map((shape, i) => [
    programTables(`main${i}`, shape.main, kernels),
    shape.prologue ? programTables(`prologue${i}`, shape.prologue, kernels) : null,
  ])
  const initializer = (i: number, which: 0 | 1): string => programs[i]![which]?.initializer ?? '{0, 0, 0, 0, 0, 0, 0}'
  const infos = (port: 'input' | 'output', i: number): string =>
    infoTable(`${port}${i}`, name, model[`${port}s`], model.shapes[i]![`${port}s`])
  return [
    `/* A model compiled by Longzhou for ${target.name}; ${name}.h says how it is used. */\n`,
    executorIncludes,
    '#include <errno.h>\n#include <stdarg.h>\n#include <stdio.h>\n#include <sys/stat.h>\n#include <unistd.h>\n',
    `#include "${name}.h"\n\n`,
    guards(target),
    '\n#pragma GCC diagnostic push\n',
    ...unusual.map((w) => `#pragma GCC diagnostic ignored "${w}"\n`),
    `\n${translationUnit(kernels.printed, 'static ')}\n#pragma GCC diagnostic pop\n`,
    `\ntypedef intptr_t address;\n`,
    executorSource,
    tableTypes(name),
    '\n/* -- Tables ------------------------------------------------------------------------------------------------------------------ */\n\n',
    `static const kernel kernels[] = {${kernels.printed.map((k) => k.name).join(', ') || '0'}};\n`,
    ...programs.flat().flatMap((p) => p?.tables ?? []),
    ...model.shapes.flatMap((_, i) => [infos('input', i), infos('output', i)]),
    `static const plan plans[] = {\n${model.shapes.map((_, i) => `  {${initializer(i, 0)}, ${initializer(i, 1)}, input${i}, output${i}},\n`).join('')}};\n`,
    `static const metadata_entry metadata[] = {\n${Object.entries(model.metadata)
      .map((pair) => `  {${pair.map(stringText).join(', ')}},\n`)
      .join('')}  {0, 0},\n};\n`,
    sizes(model),
    apiSource(name),
  ].join('')
}

/** Every kernel of a model once, by number. */
class KernelTable {
  readonly printed: CKernel[] = []
  readonly #vectorBytes: number
  readonly #numbers = new Map<string, number>()

  constructor(vectorBytes: number) {
    this.#vectorBytes = vectorBytes
  }

  /** Numbers of the kernels that a program's launches name; those that none names have none. */
  numbersOf({ plan, kernels }: AheadProgram): number[] {
    const numbers: number[] = []
    for (const { kernel } of launchesOf(plan)) {
      if (numbers[kernel] !== undefined) continue
      const printed = renderKernel(kernels[kernel]!, this.#vectorBytes)
      let number = this.#numbers.get(printed.name)
      if (number === undefined) {
        number = this.printed.push(printed) - 1
        this.#numbers.set(printed.name, number)
      }
      numbers[kernel] = number
    }
    return numbers
  }
}

function programTables(name: string, p: AheadProgram, kernels: KernelTable): { tables: string[]; initializer: string } {
  const { words } = encodePlan(p.plan, p.kernels, kernels.numbersOf(p))
  const scalars = p.scalars.map((s) => constantText(s, 'f64').text)
  return {
    tables: [
      table('i64', `${name}_code`, words.map(wordText)),
      table('place', `${name}_leaves`, p.leaves.map(placeText)),
      table('place', `${name}_outputs`, p.outputs.map(placeText)),
      table('double', `${name}_scalars`, scalars),
    ],
    initializer: `{${name}_code, ${words.length}, ${name}_leaves, ${name}_outputs, ${p.leaves.length}, ${p.outputs.length}, ${name}_scalars}`,
  }
}

const wordText = (word: Word): string => constantText(word, 'i64').text
const placeText = (place: Place): string =>
  place.kind === 'none' ? '{NONE, 0}' : `{${placeNames[place.kind]}, ${place.at}}`

/** An array, which C does not let be empty. */
function table(type: string, name: string, elements: readonly string[]): string {
  const lines: string[] = []
  let line = ''
  for (const e of elements.length > 0 ? elements : [type === 'place' ? '{NONE, 0}' : '0']) {
    if (line.length + e.length > 120) {
      lines.push(line)
      line = ''
    }
    line += ` ${e},`
  }
  return `static const ${type} ${name}[] = {\n ${[...lines, line].join('\n ')}\n};\n`
}

function infoTable(table: string, name: string, ports: readonly Port[], shapes: readonly Shape[]): string {
  const shapeTables = shapes.map((s, i) => `static const int64_t ${table}_shape${i}[] = {${s.join(', ') || '0'}};\n`)
  const rows = ports.map(({ name, dtype }, i) => {
    const shape = shapes[i]!
    const bytes = numel(shape) * sizeOf(dtype)
    return `  {${stringText(name)}, ${dtypeNumbers.get(dtype)}, ${shape.length}, ${table}_shape${i}, ${bytes}},\n`
  })
  return `${shapeTables.join('')}static const ${name}_info ${table}[] = {\n${rows.join('') || '  {0, 0, 0, 0, 0},\n'}};\n`
}

function sizes(model: AheadModel): string {
  const { weights, shapes } = model
  const most = (key: 'leaves' | 'outputs'): number =>
    Math.max(1, ...shapes.flatMap((s) => [s.main, s.prologue].map((p) => p?.[key].length ?? 0)))
  const known = shapes.map((s) => describeInputs(model.inputs, s.inputs)).join('; ')
  const definitions = {
    SHAPES: shapes.length,
    INPUTS: model.inputs.length,
    OUTPUTS: model.outputs.length,
    MOST_LEAVES: most('leaves'),
    MOST_OUTPUTS: most('outputs'),
    RESIDENT_BYTES: `${weights.residentBytes}LL`,
    TRANSIENT_BYTES: `${weights.transientBytes}LL`,
    WEIGHTS_CRC32: `0x${weights.crc32.toString(16).padStart(8, '0')}u`,
    CONSTANT_BYTES: `${model.constantBytes}LL`,
    ELEMENT_BYTES: dtypes.map((d) => sizeOf(d)).join(', '),
    KNOWN_SHAPES: stringText(known),
    TARGET_NAME: stringText(model.target.name),
  }
  return Object.entries(definitions)
    .map(([key, value]) => `#define ${key} ${value}\n`)
    .join('')
}

/** Refuses compilers that were not told the target, and lists what the processor is asked for before anything else runs. */
function guards({ name, architecture, machineFlags, features }: Target): string {
  const needed = features.map((f) => featureNames[f]!)
  const conditions = [architectureMacros[architecture], ...needed.map(([macro]) => macro)]
  const flags = machineFlags.join(' ')
  const baseline = architecture === 'x64' && needed.length > 0 ? '__attribute__((target("arch=x86-64")))' : ''
  const asked = needed.map(([, builtin]) => `NEEDS("${builtin}")`).join(' ')
  return [
    `#if ${conditions.map((c) => `!defined(${c})`).join(' || ')}\n`,
    `#error "this model was compiled for ${name}: compile it ${flags ? `with ${flags}` : 'for that machine'}"\n#endif\n`,
    `#define BASELINE ${baseline}\n`,
    asked ? `#define NEEDS_FEATURES ${asked}\n` : '',
  ].join('')
}
