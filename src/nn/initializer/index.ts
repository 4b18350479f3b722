/** `nn.initializer`: how parameters start. */
export { calculateGain, computeFans, type Fans, type Nonlinearity } from './fan.ts'
export type { AssignedValue, NestedNumbers } from './fill.ts'
export { getGlobalInitializer, setGlobalInitializer, type GlobalInitializers } from './global.ts'
export * from './initializer.ts'
