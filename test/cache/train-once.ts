/** Trains a small network for three steps on a seed, and prints the losses and the numbers of plans made and recalled as one JSON line. */
import { nn, optimizer, randn, seed, type Tensor } from '../../src/index.ts'
import { observePlans } from '../../src/tensor/profile.ts'

const plans = { made: 0, recalled: 0 }
observePlans(({ recalled }) => plans[recalled ? 'recalled' : 'made']++)
seed(5)
const model = new nn.Sequential(new nn.Conv2D(1, 3, { kernelSize: 3 }), new nn.ReLU(), new nn.Conv2D(3, 2, 3))
const adam = new optimizer.Adam({ parameters: model.parameters(), learningRate: 1e-2 })
const x = randn([4, 1, 10, 12])
const losses: number[] = []
for (let step = 0; step < 3; step++) {
  const loss = (model(x) as Tensor).square().mean()
  loss.backward()
  adam.step()
  adam.clearGrad()
  losses.push(await loss.item())
}
console.log(JSON.stringify({ losses, ...plans }))
