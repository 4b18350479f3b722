/**
 * The real fonts that lines are drawn in, all from npm packages under the SIL Open Font License, and which of them a family of
 * lines may use. What a font can draw is read from its files (cmap.ts). Large fonts come as a hundred WOFF2 slices; a face knows
 * which slice holds a character and registers a slice with the canvas only when it is first drawn.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { GlobalFonts, createCanvas } from '@napi-rs/canvas'
import type { SKRSContext2D } from '@napi-rs/canvas'
import { StorageError } from '../../common/errors.ts'
import type { SmallRandom } from '../../common/random.ts'
import { charset } from './charset.ts'
import { readCodePoints } from './cmap.ts'
import type { Family } from './receipts.ts'

interface FaceSpec {
  /** The typeface that it belongs to: a typeface is held out whole, with all its weights. */
  typeface: string
  package: string
  /** One file, or the beginning of the names of all its slices, inside the package. */
  file: string
  /** The weights of a variable font to draw from: a few, because the canvas keeps an instance of the font for each. */
  weights?: readonly number[]
  /** How much larger it is drawn than asked, where its glyphs are small for their em; by default 1. */
  scale?: number
  /** Characters whose outlines are wrong in this font, though its `cmap` lists them. */
  broken?: string
}

const expo = (name: string, file: string, typeface: string): FaceSpec => ({
  typeface,
  package: `@expo-google-fonts/${name}`,
  file,
})
const notoSans = (weight: string): FaceSpec => ({
  typeface: 'Noto Sans SC',
  package: '@embedpdf/fonts-sc',
  file: `fonts/NotoSansHans-${weight}.otf`,
})

/** Chinese faces: gothic, song, brush, display, dot matrix, kai. */
const chineseFaces = {
  'sans-light': notoSans('Light'),
  'sans-demilight': notoSans('DemiLight'),
  'sans-regular': notoSans('Regular'),
  'sans-medium': notoSans('Medium'),
  'sans-bold': notoSans('Bold'),
  song: {
    typeface: 'Noto Serif SC',
    package: '@fontsource-variable/noto-serif-sc',
    file: 'files/noto-serif-sc-',
    weights: [300, 400, 500, 600, 700, 800],
  },
  brush: expo('ma-shan-zheng', '400Regular/MaShanZheng_400Regular.ttf', 'Ma Shan Zheng'),
  poster: expo('zcool-qingke-huangyou', '400Regular/ZCOOLQingKeHuangYou_400Regular.ttf', 'ZCOOL QingKe HuangYou'),
  dots: { typeface: 'UnifontEX', package: '@fontsource/unifontex', file: 'files/unifontex-latin-400-normal.woff' },
  kai: { typeface: 'LXGW WenKai', package: 'lxgw-wenkai-screen-webfont', file: 'files/lxgwwenkaigbscreen-subset-' },
  xiaowei: {
    ...expo('zcool-xiaowei', '400Regular/ZCOOLXiaoWei_400Regular.ttf', 'ZCOOL XiaoWei'),
    broken: '回', // both contours turn the same way: a black square
  },
} as const satisfies Record<string, FaceSpec>

/** Latin faces, which may stand in for the digits and letters of a Chinese face, as bank printers mix them. */
const latinFaces = {
  'latin-sans': expo('arimo', '400Regular/Arimo_400Regular.ttf', 'Arimo'),
  'latin-sans-bold': expo('arimo', '700Bold/Arimo_700Bold.ttf', 'Arimo'),
  'latin-serif': expo('tinos', '400Regular/Tinos_400Regular.ttf', 'Tinos'),
  'latin-mono': expo('cousine', '400Regular/Cousine_400Regular.ttf', 'Cousine'),
  'latin-mono-bold': expo('cousine', '700Bold/Cousine_700Bold.ttf', 'Cousine'),
  'latin-typewriter': expo('courier-prime', '400Regular/CourierPrime_400Regular.ttf', 'Courier Prime'),
  'latin-terminal': { ...expo('vt323', '400Regular/VT323_400Regular.ttf', 'VT323'), scale: 1.25 },
  'latin-technical': expo('share-tech-mono', '400Regular/ShareTechMono_400Regular.ttf', 'Share Tech Mono'),
} as const satisfies Record<string, FaceSpec>

export type FaceName = keyof typeof chineseFaces | keyof typeof latinFaces

const specs: Record<FaceName, FaceSpec> = { ...chineseFaces, ...latinFaces }

type Weighted = Partial<Record<FaceName, number>>

interface FontSet {
  /** Chinese faces and how often each is taken. */
  chinese: Weighted
  latin: Weighted
}

/** Which faces a family uses. No typeface of `heldout` stands in another family; a test sees to it. */
export const fontSets: Record<Family, FontSet> = {
  pretrain: {
    chinese: {
      'sans-light': 2,
      'sans-demilight': 2,
      'sans-regular': 3,
      'sans-medium': 2,
      'sans-bold': 2,
      song: 8,
      brush: 1,
      poster: 1,
    },
    latin: { 'latin-sans': 2, 'latin-sans-bold': 1, 'latin-serif': 2 },
  },
  tune: {
    chinese: { 'sans-demilight': 2, 'sans-regular': 2, 'sans-medium': 2, song: 7, dots: 4, brush: 1 },
    latin: { 'latin-sans': 2, 'latin-serif': 2, 'latin-mono': 3, 'latin-mono-bold': 2 },
  },
  heldout: {
    chinese: { kai: 1, xiaowei: 1 },
    latin: { 'latin-typewriter': 2, 'latin-terminal': 1, 'latin-technical': 2 },
  },
}

const MEASURE_SIZE = 200
const require = createRequire(import.meta.url)
const measuring = createCanvas(1, 1).getContext('2d')

/** In ems: how far the pen moves, and how far the ink reaches above and below the baseline. */
export interface GlyphMetrics {
  advance: number
  ascent: number
  descent: number
}

/** One font, of one or many files, ready to draw characters with. */
export class Face {
  readonly name: FaceName
  readonly typeface: string
  readonly weights: readonly number[] | undefined
  readonly #scale: number
  readonly #files: readonly string[]
  /** For each character of the dictionary that the face can draw, the index of its file. */
  readonly #fileOf = new Map<string, number>()
  readonly #aliases = new Map<number, string>()
  readonly #metrics = new Map<string, GlyphMetrics>()

  constructor(name: FaceName) {
    const spec = specs[name]
    this.name = name
    this.typeface = spec.typeface
    this.weights = spec.weights
    this.#scale = spec.scale ?? 1
    this.#files = locate(spec)
    this.#files.forEach((file, index) => {
      const points = readCodePoints(readFileSync(file))
      for (const character of charset)
        if (points.has(character.codePointAt(0) as number) && !this.#fileOf.has(character))
          this.#fileOf.set(character, index)
    })
    for (const character of spec.broken ?? '') this.#fileOf.delete(character)
  }

  /** Whether the face has a glyph for every character of the text (characters outside the dictionary count as missing). */
  covers(text: string): boolean {
    for (const character of text) if (!this.#fileOf.has(character)) return false
    return true
  }

  /** Sets the context to draw this character with this face at a size in pixels and a weight. */
  select(context: SKRSContext2D, character: string, size: number, weight: number | undefined): void {
    context.font = `${size * this.#scale}px ${this.#alias(character)}`
    context.fontVariationSettings = weight === undefined ? 'normal' : `"wght" ${weight}`
  }

  /** What a character measures. Weights are not told apart: the font's default stands for all. */
  measure(character: string): GlyphMetrics {
    let metrics = this.#metrics.get(character)
    if (metrics === undefined) {
      this.select(measuring, character, MEASURE_SIZE, undefined)
      const measured = measuring.measureText(character)
      metrics = {
        advance: measured.width / MEASURE_SIZE,
        ascent: measured.actualBoundingBoxAscent / MEASURE_SIZE,
        descent: measured.actualBoundingBoxDescent / MEASURE_SIZE,
      }
      this.#metrics.set(character, metrics)
    }
    return metrics
  }

  #alias(character: string): string {
    const index = this.#fileOf.get(character) ?? 0
    let alias = this.#aliases.get(index)
    if (alias === undefined) {
      alias = `longzhou-${this.name}-${index}`
      const file = this.#files[index] as string
      // Fonts are registered for the whole process: another thread may have done it.
      if (!GlobalFonts.has(alias) && !GlobalFonts.registerFromPath(file, alias))
        throw new StorageError(`The font file ${file} could not be loaded; reinstall the packages with npm ci.`)
      this.#aliases.set(index, alias)
    }
    return alias
  }
}

const loaded = new Map<FaceName, Face>()

/** The face of that name, read from its files on the first call. */
export function getFace(name: FaceName): Face {
  let face = loaded.get(name)
  if (!face) loaded.set(name, (face = new Face(name)))
  return face
}

/** The fonts that a line is drawn in: a Chinese one, and maybe another for what is Latin. */
export interface Typesetting {
  face: Face
  latin: Face | undefined
  /** The weight of `face` where it is variable. */
  weight: number | undefined
}

/** Latin characters: those that a Latin face may draw in a Chinese line. */
export const isLatin = (character: string): boolean => character <= '~' || character === '¥'

/** Draws fonts for a text from a family's set, among those that have a glyph for every character of it. */
export function chooseFonts(random: SmallRandom, family: Family, text: string): Typesetting {
  const { chinese, latin } = fontSets[family]
  const latinText = [...text].filter((character) => isLatin(character)).join('')
  const latinFace =
    latinText !== '' && random.chance(0.5)
      ? drawFace(random, latin, (candidate) => candidate.covers(latinText))
      : undefined
  const rest = latinFace ? [...text].filter((character) => !isLatin(character)).join('') : text
  const face = drawFace(random, chinese, (candidate) => candidate.covers(rest))
  if (!face) throw new StorageError(`No font of the family "${family}" has glyphs for all of "${text}".`)
  return { face, latin: latinFace, weight: face.weights && random.choice(face.weights) }
}

/** One of the weighted faces that the text allows; undefined when none does. */
function drawFace(random: SmallRandom, set: Weighted, allowed: (face: Face) => boolean): Face | undefined {
  const entries = (Object.entries(set) as [FaceName, number][]).filter(([name]) => allowed(getFace(name)))
  if (entries.length === 0) return undefined
  return getFace((entries[random.weighted(entries.map(([, weight]) => weight))] as [FaceName, number])[0])
}

/** The files of a face: the one that is named, or all slices whose names begin so, in the order of their names. */
function locate(spec: FaceSpec): string[] {
  // Some packages export no file by name, so the folder is looked for where Node would look for the package.
  const roots = require.resolve.paths(spec.package) ?? []
  const folder = roots.map((root) => join(root, spec.package)).find((candidate) => existsSync(candidate))
  if (!folder) throw new StorageError(`The font package ${spec.package} is not installed; run npm ci.`)
  const path = join(folder, spec.file)
  if (!spec.file.endsWith('-')) return [path]
  const names = readdirSync(dirname(path)).filter((name) => `${dirname(spec.file)}/${name}`.startsWith(spec.file))
  return names.sort().map((name) => join(dirname(path), name))
}
