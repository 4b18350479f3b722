/** Names of the machines that models are compiled for. */

export const targetNames = ['x86-64-v3', 'x86-64-v4', 'aarch64', 'native'] as const
/** Levels of x86-64 as its psABI defines them (v3: AVX2 and FMA; v4: AVX-512), 64-bit Arm with NEON, and this machine. */
export type TargetName = (typeof targetNames)[number]

export function isTargetName(name: string): name is TargetName {
  return (targetNames as readonly string[]).includes(name)
}
