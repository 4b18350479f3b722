/** A first program: a small network, one mixed-precision training step. Run it with `npx tsx examples/simple-cnn.ts`. */
import {
  amp,
  flatten,
  isCompiledWithCuda,
  nn,
  optimizer,
  randint,
  randn,
  setDevice,
  type Tensor,
} from '../src/index.ts'

class SimpleCNN extends nn.Layer {
  conv1 = new nn.Conv2D(3, 32, { kernelSize: 3 })
  relu = new nn.ReLU()
  pool = new nn.MaxPool2D({ kernelSize: 2, stride: 2 })
  fc

  constructor(numClasses = 10) {
    super()
    this.fc = new nn.Linear(32 * 15 * 15, numClasses)
  }

  forward(x: Tensor) {
    return this.fc(flatten(this.pool(this.relu(this.conv1(x))), 1))
  }
}

setDevice(isCompiledWithCuda() ? 'gpu' : 'cpu')
const model = new SimpleCNN()
const x = randn([4, 3, 32, 32])
const label = randint(0, 10, [4])
const scaler = new amp.GradScaler({ initLossScaling: 1024 })
const adam = new optimizer.Adam({ parameters: model.parameters() })
const loss = amp.autoCast(() => new nn.CrossEntropyLoss()(model(x), label))
const scaled = scaler.scale(loss)
scaled.backward()
scaler.minimize(adam, scaled)
adam.clearGrad()
console.log(await loss.item())
