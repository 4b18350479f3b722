/**
 * Trains a small network as a newcomer writes it: a synchronous-looking loop, one await a step, never a dispose. Prints resident memory and
 * what lives on the heap, in bytes, every 50 steps, as one JSON line at the end. Run it with --expose-gc.
 */
import { nn, optimizer, randint, randn, type Tensor } from '../../src/index.ts'

class Net extends nn.Layer {
  conv = new nn.Conv2D(1, 4, { kernelSize: 3 })
  norm = new nn.BatchNorm2D(4)
  pool = new nn.MaxPool2D({ kernelSize: 2, stride: 2 })
  drop = new nn.Dropout(0.2)
  fc = new nn.Linear(4 * 7 * 7, 10)

  forward(x: Tensor): Tensor {
    const features = this.pool(nn.functional.relu(this.norm(this.conv(x))))
    return this.fc(this.drop(features.flatten(1)))
  }
}

/** V8 lets garbage grow to a multiple of what lives before it looks; asked to look, it shows what the loop really holds. */
async function measure(): Promise<{ resident: number; heap: number }> {
  await new Promise((done) => setTimeout(done, 0))
  ;(globalThis as unknown as { gc(): void }).gc()
  const { rss, heapUsed } = process.memoryUsage()
  return { resident: rss, heap: heapUsed }
}

const steps = Number(process.argv[2] ?? 2000)
const model = new Net()
const criterion = new nn.CrossEntropyLoss()
const adam = new optimizer.Adam({ parameters: model.parameters(), learningRate: 1e-3 })
const samples: { resident: number; heap: number }[] = []
let last = 0
for (let step = 1; step <= steps; step++) {
  const x = randn([8, 1, 16, 16])
  const label = randint(0, 10, [8])
  const loss = criterion(model(x), label)
  loss.backward()
  adam.step()
  adam.clearGrad()
  last = await loss.item()
  if (step % 50 === 0) samples.push(await measure())
}
console.log(JSON.stringify({ samples, loss: last }))
