/**
 * Trains a small network as a newcomer writes it: a synchronous-looking loop, one await a step, never a dispose, nothing asked of the
 * collector. Every 10 steps it notes, in bytes, resident memory without V8's young generation (its size is V8's choice, between 1 and 48 MB,
 * and says nothing of what is held) and what is in the old generation; prints all as one JSON line at the end.
 */
import { getHeapSpaceStatistics } from 'node:v8'
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

const steps = Number(process.argv[2] ?? 2000)
const model = new Net()
const criterion = new nn.CrossEntropyLoss()
const adam = new optimizer.Adam({ parameters: model.parameters(), learningRate: 1e-3 })
const resident: number[] = []
const old: number[] = []
let last = 0
for (let step = 1; step <= steps; step++) {
  const x = randn([8, 1, 16, 16])
  const label = randint(0, 10, [8])
  const loss = criterion(model(x), label)
  loss.backward()
  adam.step()
  adam.clearGrad()
  last = await loss.item()
  if (step % 10 !== 0) continue
  const spaces = getHeapSpaceStatistics()
  const young = spaces.filter((s) => s.space_name.startsWith('new_')).reduce((sum, s) => sum + s.physical_space_size, 0)
  resident.push(process.memoryUsage.rss() - young)
  old.push(spaces.find((s) => s.space_name === 'old_space')!.space_used_size)
}
console.log(JSON.stringify({ resident, old, loss: last }))
