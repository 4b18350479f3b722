/** Text in pickles: decoded where it is looked at. Protocol 2 writes the bytes of arrays as text, which never becomes a string here. */
import { brokenPickle } from './errors.ts'

/** From this many bytes on, text stays what it is in the file until somebody wants the string. */
export const LONG_TEXT = 256

/** Text that is not decoded yet. */
export class LongText {
  readonly bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Throws FormatError for bytes that are no UTF-8. */
export function decodeText(bytes: Uint8Array, position: number): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw brokenPickle('text that is not UTF-8', position)
  }
}

/** The string of a value that is text; undefined for others, and for text of 256 bytes and more. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** The text as bytes, one for each character; undefined where a character is beyond latin1. */
export function latin1Bytes(text: string | LongText): Uint8Array | undefined {
  if (text instanceof LongText) return transcode(text.bytes)
  const out = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0xff) return undefined
    out[i] = code
  }
  return out
}

/** UTF-8 to latin1. Characters up to 0x7f take one byte, those up to 0xff two, of which the first is 0xc2 or 0xc3. */
function transcode(bytes: Uint8Array): Uint8Array | undefined {
  const end = bytes.byteLength
  const out = new Uint8Array(end)
  let length = 0
  for (let i = 0; i < end;) {
    const byte = bytes[i]!
    if (byte < 0x80) {
      out[length++] = byte
      i++
    } else {
      const next = i + 1 < end ? bytes[i + 1]! : 0
      if ((byte & 0xfe) !== 0xc2 || (next & 0xc0) !== 0x80) return undefined
      out[length++] = ((byte & 3) << 6) | (next & 0x3f)
      i += 2
    }
  }
  return out.subarray(0, length)
}
