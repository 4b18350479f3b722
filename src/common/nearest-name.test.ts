import { expect, test } from 'vitest'
import { nearestName } from './nearest-name.ts'

const keys = ['learningRate', 'warmupSteps', 'minLearningRate', 'name']

test.each([
  ['learning_rate', 'learningRate'],
  ['lerningRate', 'learningRate'],
  ['WARMUP-STEPS', 'warmupSteps'],
  ['nam', 'name'],
  ['momentum', undefined],
  ['', undefined],
])('%j is nearest to %j', (name, expected) => expect(nearestName(name, keys)).toBe(expected))
