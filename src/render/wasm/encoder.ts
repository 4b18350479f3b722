/**
 * The binary format of WebAssembly: LEB128 numbers, sections, and a module of imported memory, imported functions and exported
 * functions. Knows nothing of kernels. Source: the WebAssembly core specification 3.0, chapter 5.
 */
import { valueTypeCodes, type ValueType } from './opcodes.ts'

/** Bytes that grow at the end. */
export class Bytes {
  private data = new Uint8Array(128)
  length = 0

  private reserve(n: number): void {
    if (this.length + n <= this.data.length) return
    const larger = new Uint8Array(Math.max(this.data.length * 2, this.length + n))
    larger.set(this.data.subarray(0, this.length))
    this.data = larger
  }

  byte(value: number): void {
    this.reserve(1)
    this.data[this.length++] = value
  }

  raw(bytes: ArrayLike<number>): void {
    this.reserve(bytes.length)
    this.data.set(bytes, this.length)
    this.length += bytes.length
  }

  /** Unsigned LEB128 of 0 <= value < 2^32. */
  u32(value: number): void {
    let rest = value >>> 0
    while (rest > 0x7f) {
      this.byte((rest & 0x7f) | 0x80)
      rest >>>= 7
    }
    this.byte(rest)
  }

  /** Signed LEB128 of a 32-bit integer. */
  s32(value: number): void {
    let rest = value | 0
    while (rest < -64 || rest > 63) {
      this.byte((rest & 0x7f) | 0x80)
      rest >>= 7
    }
    this.byte(rest & 0x7f)
  }

  /** Signed LEB128 of a 64-bit integer. */
  s64(value: bigint): void {
    let rest = BigInt.asIntN(64, value)
    while (rest < -64n || rest > 63n) {
      this.byte(Number(rest & 0x7fn) | 0x80)
      rest >>= 7n
    }
    this.byte(Number(rest & 0x7fn))
  }

  f32(value: number): void {
    this.raw(new Uint8Array(new Float32Array([value]).buffer))
  }

  f64(value: number): void {
    this.raw(new Uint8Array(new Float64Array([value]).buffer))
  }

  /** A length, then UTF-8. */
  name(text: string): void {
    const utf8 = new TextEncoder().encode(text)
    this.u32(utf8.length)
    this.raw(utf8)
  }

  /** A length, then the bytes. */
  sized(bytes: Bytes): void {
    this.u32(bytes.length)
    this.raw(bytes.view())
  }

  /** The bytes themselves, until more are added. */
  view(): Uint8Array {
    return this.data.subarray(0, this.length)
  }
}

export interface FunctionType {
  readonly parameters: readonly ValueType[]
  readonly results: readonly ValueType[]
}

interface Body {
  readonly type: number
  readonly exportName: string
  readonly code: Bytes
}

const magic = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]
const sections = { type: 1, import: 2, function: 3, export: 7, code: 10 } as const
const kinds = { function: 0x00, memory: 0x02 } as const

/** Collects the parts of a module. Imports first: they are numbered before the functions. */
export class ModuleEncoder {
  private readonly types: FunctionType[] = []
  private readonly imports: Bytes[] = []
  private importedFunctions = 0
  private readonly bodies: Body[] = []

  /** Imports a memory of any size. */
  importMemory(module: string, name: string): void {
    const entry = this.importEntry(module, name)
    entry.byte(kinds.memory)
    entry.byte(0x00)
    entry.u32(0)
  }

  /** Imports a function and returns its number. */
  importFunction(module: string, name: string, type: FunctionType): number {
    const entry = this.importEntry(module, name)
    entry.byte(kinds.function)
    entry.u32(this.typeNumber(type))
    return this.importedFunctions++
  }

  /** Adds a function whose body is `code` (its locals' declarations included, without its length). */
  exportFunction(name: string, type: FunctionType, code: Bytes): void {
    this.bodies.push({ type: this.typeNumber(type), exportName: name, code })
  }

  encode(): Uint8Array {
    const out = new Bytes()
    out.raw(magic)
    section(out, sections.type, this.types, encodeType)
    section(out, sections.import, this.imports, (b, entry) => b.raw(entry.view()))
    section(out, sections.function, this.bodies, (b, body) => b.u32(body.type))
    section(out, sections.export, this.bodies, (b, body, i) => {
      b.name(body.exportName)
      b.byte(kinds.function)
      b.u32(this.importedFunctions + i)
    })
    section(out, sections.code, this.bodies, (b, body) => b.sized(body.code))
    return out.view().slice()
  }

  private importEntry(module: string, name: string): Bytes {
    const entry = new Bytes()
    entry.name(module)
    entry.name(name)
    this.imports.push(entry)
    return entry
  }

  private typeNumber(type: FunctionType): number {
    const same = (a: readonly ValueType[], b: readonly ValueType[]) => a.join() === b.join()
    const known = this.types.findIndex((t) => same(t.parameters, type.parameters) && same(t.results, type.results))
    return known >= 0 ? known : this.types.push(type) - 1
  }
}

function encodeType(out: Bytes, type: FunctionType): void {
  out.byte(0x60)
  for (const list of [type.parameters, type.results]) {
    out.u32(list.length)
    for (const t of list) out.byte(valueTypeCodes[t])
  }
}

/** A section: its number, its length, and a vector of entries. Empty sections are left out. */
function section<T>(
  out: Bytes,
  id: number,
  entries: readonly T[],
  encode: (b: Bytes, entry: T, i: number) => void,
): void {
  if (entries.length === 0) return
  const content = new Bytes()
  content.u32(entries.length)
  entries.forEach((entry, i) => encode(content, entry, i))
  out.byte(id)
  out.sized(content)
}
