/** The reference backend, with the structural key of each plan that it runs written down. */
import type { DeviceBuffer } from '../../src/graph/storage.ts'
import { ReferenceBackend } from '../../src/runtime/reference/backend.ts'
import type { Capture } from '../../src/schedule/capture.ts'
import { registerDevice } from '../../src/tensor/device.ts'

export class SpyBackend extends ReferenceBackend {
  readonly captures: Capture[] = []

  override interpret(capture: Capture, leaves: readonly DeviceBuffer[], outputs: readonly DeviceBuffer[]): void {
    this.captures.push(capture)
    super.interpret(capture, leaves, outputs)
  }

  /** Keys of the plans since the last call. */
  takeKeys(): string[] {
    return this.captures.splice(0).map((c) => c.key)
  }
}

/** A new device whose plans can be looked at; `setDevice(name)` uses it. */
export function registerSpy(name: string): SpyBackend {
  const spy = new SpyBackend()
  registerDevice(name, () => spy)
  return spy
}
