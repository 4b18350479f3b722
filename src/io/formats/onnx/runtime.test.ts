import { expect, it, vi } from 'vitest'
import { DependencyError } from '../../../common/errors.ts'
import { hasOnnxRuntime, openOnnxRuntime } from './runtime.ts'

vi.mock('onnxruntime-node', () => {
  throw new Error("Cannot find package 'onnxruntime-node'")
})

it('says how to install ONNX Runtime where it is missing', async () => {
  expect(await hasOnnxRuntime()).toBe(false)
  const opening = openOnnxRuntime('model.onnx')
  await expect(opening).rejects.toThrow(DependencyError)
  await expect(opening).rejects.toThrow('npm install onnxruntime-node')
})
