/** The network of the recorded training runs, as in Paddle's own examples. */
import { flatten, nn, type Tensor } from '../../src/index.ts'

export class SimpleCNN extends nn.Layer {
  conv1 = new nn.Conv2D(3, 32, { kernelSize: 3 })
  relu = new nn.ReLU()
  pool = new nn.MaxPool2D({ kernelSize: 2, stride: 2 })
  fc

  constructor(features = 32 * 15 * 15, numClasses = 10) {
    super()
    this.fc = new nn.Linear(features, numClasses)
  }

  forward(x: Tensor): Tensor {
    return this.fc(flatten(this.pool(this.relu(this.conv1(x))), 1))
  }
}
