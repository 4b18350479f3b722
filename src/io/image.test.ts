import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, expect, test } from 'vitest'
import { valuesOf } from '../../test/support/arrays.ts'
import { mutations } from '../../test/support/mutate.ts'
import type { HostArray } from '../common/dtype.ts'
import { ArgumentError, FormatError, ShapeError, StorageError } from '../common/errors.ts'
import { decodeImage, decodeImages, encodeJpeg, encodePng } from './image.ts'

const root = mkdtempSync(join(tmpdir(), 'image-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** Pixel (y, x) is (10 y, 20 x, 200 - 5 (x + y)), channels beyond the third 128. */
function picture(height: number, width: number, channels: number): HostArray {
  const data = Uint8Array.from({ length: height * width * channels }, (_, i) => {
    const [y, x, c] = [Math.floor(i / channels / width), Math.floor(i / channels) % width, i % channels]
    return [10 * y, 20 * x, 200 - 5 * (x + y), 128][c]!
  })
  return { dtype: 'uint8', shape: channels === 0 ? [height, width] : [height, width, channels], data }
}

test('PNG keeps every pixel, with 1, 3 and 4 channels', async () => {
  for (const channels of [1, 3, 4] as const) {
    const image = picture(5, 7, channels)
    expect(await decodeImage(await encodePng(image), { channels })).toEqual(image)
  }
  const grey = picture(3, 4, 1)
  expect(await decodeImage(await encodePng({ ...grey, shape: [3, 4] }), { channels: 1 })).toEqual(grey)
})

test('channels are made or dropped as asked, colours ordered as asked', async () => {
  const grey = await decodeImage(await encodePng(picture(2, 2, 1)))
  expect([grey.shape, [...grey.data]]).toEqual([
    [2, 2, 3],
    [0, 0, 0, 0, 0, 0, 10, 10, 10, 10, 10, 10],
  ])
  const dropped = await decodeImage(await encodePng(picture(5, 7, 4)))
  expect(dropped).toEqual(picture(5, 7, 3))
  const opaque = await decodeImage(await encodePng(picture(2, 2, 3)), { channels: 4 })
  expect([...opaque.data].filter((_, i) => i % 4 === 3)).toEqual([255, 255, 255, 255])
  const bgr = await decodeImage(await encodePng(picture(1, 2, 3)), { order: 'bgr' })
  expect([...bgr.data]).toEqual([200, 0, 0, 195, 20, 0])
})

test('JPEG comes close; 16 bits, WebP and TIFF are read; EXIF turns the image upright', async () => {
  const image = picture(16, 12, 3)
  const jpeg = await decodeImage(await encodeJpeg(image, { quality: 95 }))
  const wanted = valuesOf(image)
  const difference = valuesOf(jpeg).reduce((sum, value, i) => sum + Math.abs(value - wanted[i]!), 0)
  expect(difference / wanted.length).toBeLessThan(6)
  const raw = () => sharp(image.data as Uint8Array, { raw: { width: 12, height: 16, channels: 3 } })
  const deep = await raw().toColourspace('rgb16').png().toBuffer()
  expect(await decodeImage(deep)).toEqual(image)
  for (const file of [
    await raw().webp({ lossless: true }).toBuffer(),
    await raw().tiff({ compression: 'lzw' }).toBuffer(),
  ]) {
    expect(await decodeImage(file)).toEqual(image)
  }
  const turned = await raw().withMetadata({ orientation: 6 }).jpeg().toBuffer()
  expect((await decodeImage(turned)).shape).toEqual([12, 16, 3])
})

test('missing, empty, foreign, truncated and too large files are named', async () => {
  const path = (name: string, content: Uint8Array | string) => {
    writeFileSync(join(root, name), content)
    return join(root, name)
  }
  const good = await encodeJpeg(picture(40, 40, 3))
  await expect(decodeImage(join(root, 'gone.png'))).rejects.toThrow(StorageError)
  await expect(decodeImage(path('empty.png', ''))).rejects.toThrow(/empty.png' is empty/)
  await expect(decodeImage(path('text.png', 'not an image'))).rejects.toThrow(/text.png' is no image, or broken/)
  await expect(decodeImage(path('cut.jpg', good.subarray(0, good.length / 2)))).rejects.toThrow(FormatError)
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
  await expect(decodeImage(path('drawing.svg', svg))).rejects.toThrow(/has format svg; supported/)
  await expect(decodeImage(path('large.jpg', good), { maxPixels: 1599 })).rejects.toThrow(
    /40 x 40 pixels, more than 1599/,
  )
  await expect(decodeImage({ name: 'line 7', bytes: new Uint8Array(4) })).rejects.toThrow(/line 7/)
})

test('many images: fail at the first, or skip and count', async () => {
  const good = join(root, 'good.png')
  const broken = join(root, 'broken.png')
  writeFileSync(good, await encodePng(picture(2, 3, 3)))
  writeFileSync(broken, 'x')
  const list = [good, join(root, 'absent.png'), broken, good, good, broken]
  const { images, skipped } = await decodeImages(list, { onError: 'skip' })
  expect(images.map(({ name, image }) => [name, image.shape])).toEqual([1, 2, 3].map(() => [good, [2, 3, 3]]))
  expect(skipped.map(({ name }) => name)).toEqual([join(root, 'absent.png'), broken, broken])
  expect(skipped[0]!.reason).toMatch(/ENOENT/)
  await expect(decodeImages(list)).rejects.toThrow(/absent.png/)
})

test('arrays that are no images are refused', async () => {
  const floats: HostArray = { dtype: 'float32', shape: [2, 2, 3], data: new Float32Array(12) }
  await expect(encodePng(floats)).rejects.toThrow(/not float32 \[2, 2, 3\]/)
  await expect(encodePng({ dtype: 'uint8', shape: [0, 2, 3], data: new Uint8Array(0) })).rejects.toThrow(ShapeError)
  await expect(encodeJpeg(picture(2, 2, 4))).rejects.toThrow(/1 \| 3\], not uint8 \[2, 2, 4\]/)
  await expect(encodeJpeg(picture(2, 2, 3), { quality: 0 })).rejects.toThrow(ArgumentError)
})

test('damaged files give an image or a FormatError', async () => {
  const files = [await encodePng(picture(9, 13, 3)), await encodeJpeg(picture(16, 16, 3))]
  let refused = 0
  for (const file of files) {
    for (const bytes of mutations(file, 300)) {
      const image = await decodeImage(bytes, { maxPixels: 1_000_000 }).catch((error: unknown) => {
        if (!(error instanceof FormatError)) throw error
        refused++
      })
      if (image !== undefined) expect(image.shape[2]).toBe(3)
    }
  }
  expect(refused).toBeGreaterThan(100)
})
