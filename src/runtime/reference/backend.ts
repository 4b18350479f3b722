/** The reference device: ArrayBuffers, and the oracle that interprets graphs over them, at once and in the JS thread. */
import { viewHost } from '../../common/dtype.ts'
import { allocateBytes } from '../../common/memory.ts'
import type { DeviceBuffer } from '../../graph/storage.ts'
import type { Capture } from '../../schedule/capture.ts'
import type { Backend, Capabilities, MemoryInfo } from '../backend.ts'
import { evaluate, type Value } from './interpret.ts'

interface HostBuffer extends DeviceBuffer {
  readonly memory: ArrayBuffer
}

export class ReferenceBackend implements Backend {
  readonly name = 'reference'
  readonly capabilities: Capabilities = {
    vectorBytes: 0,
    threads: 1,
    cacheBytes: [32768, 262144, 1048576],
    blocking: true,
  }

  allocate(bytes: number): DeviceBuffer {
    return { bytes, memory: allocateBytes(bytes, 'a tensor') } as HostBuffer
  }

  write(buffer: DeviceBuffer, data: Uint8Array): void {
    new Uint8Array((buffer as HostBuffer).memory).set(data)
  }

  read(buffer: DeviceBuffer): Promise<Uint8Array> {
    return Promise.resolve(this.readSync(buffer))
  }

  readSync(buffer: DeviceBuffer): Uint8Array {
    return new Uint8Array((buffer as HostBuffer).memory)
  }

  interpret(capture: Capture, leaves: readonly DeviceBuffer[], outputs: readonly DeviceBuffer[]): void {
    const values = new Map<Capture['nodes'][number], Value>()
    for (const [node, slot] of capture.slots) {
      if (node.op !== 'buffer') continue
      values.set(node, {
        dtype: node.dtype,
        shape: node.shape,
        data: viewHost(node.dtype, (leaves[slot] as HostBuffer).memory),
      })
    }
    const results = evaluate(
      capture.outputs.map((o) => o.node),
      values,
    )
    // All values first, then the writes: an overwritten leaf may be the source of another output.
    const copies = results.map((r) => new Uint8Array(r.data.slice().buffer as ArrayBuffer))
    copies.forEach((bytes, i) => this.write(outputs[i]!, bytes))
  }

  synchronize(): Promise<void> {
    return Promise.resolve()
  }

  synchronizeSync(): void {}

  memory(): MemoryInfo {
    return { liveBytes: 0, peakBytes: 0, arenaBytes: 0 }
  }
}
