/** The dictionary of a recogniser: class 0 is the CTC blank, class i + 1 its i-th character. It travels inside the model. */
import { ArgumentError } from '../../common/errors.ts'

export class Dictionary {
  readonly characters: readonly string[]
  readonly #classes: ReadonlyMap<string, number>

  /** @throws ArgumentError where a character is empty, longer than one code point, or given twice. */
  constructor(characters: readonly string[]) {
    this.characters = characters
    const classes = new Map<string, number>()
    characters.forEach((c, i) => {
      if ([...c].length !== 1)
        throw new ArgumentError(`dictionary: entry ${i} is ${JSON.stringify(c)}, expected one character`)
      if (classes.has(c))
        throw new ArgumentError(`dictionary: ${JSON.stringify(c)} stands at ${classes.get(c)! - 1} and at ${i}`)
      classes.set(c, i + 1)
    })
    this.#classes = classes
  }

  /** Classes of a network over this dictionary: the characters and the blank. */
  get classes(): number {
    return this.characters.length + 1
  }

  /** Classes of the characters of a text. @throws ArgumentError naming the characters that the dictionary lacks. */
  encode(text: string): number[] {
    const missing = [...text].filter((c) => !this.#classes.has(c))
    if (missing.length > 0) {
      throw new ArgumentError(
        `the dictionary of ${this.characters.length} characters lacks ${[...new Set(missing)].join(' ')} (in ${JSON.stringify(text)}); add them, or leave the line out`,
      )
    }
    return [...text].map((c) => this.#classes.get(c)!)
  }

  has(character: string): boolean {
    return this.#classes.has(character)
  }

  character(classNumber: number): string {
    const c = this.characters[classNumber - 1]
    if (c === undefined)
      throw new ArgumentError(`class ${classNumber} is not among the ${this.classes} of the dictionary`)
    return c
  }
}
