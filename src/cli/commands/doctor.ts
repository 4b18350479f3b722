/** `longzhou doctor`: what this machine offers, what is wrong with it, and one fix for each thing that is. */
import manifest from '../../../package.json' with { type: 'json' }
import { readEnvironment } from '../../common/env.ts'
import { detectCpuFeatures } from '../../runtime/cpu-features.ts'
import type { CliCommand } from '../commands.ts'
import { checkDevices } from '../doctor/devices.ts'
import { checkCpu, checkFonts, checkMemory, checkNode, checkWorkers } from '../doctor/machine.ts'
import { formatReport, type Report } from '../doctor/report.ts'
import { checkRoofline, unmeasured } from '../doctor/roofline.ts'
import { checkCache, checkCompiler, checkLastCompileError, environmentFinding } from '../doctor/toolchain.ts'
import { EXIT } from '../errors.ts'
import { colorsFor } from '../ui.ts'

/** Examines the machine; takes well under two seconds, and two more where the roofline is measured: once, or when `measure` is set. */
export async function examine(measure = false): Promise<Report> {
  const started = performance.now()
  const lastError = checkLastCompileError()
  const [compiler, workers] = await Promise.all([checkCompiler(), checkWorkers()])
  // Alone, since what runs beside it would count.
  const compilerWorks = compiler.status === 'ok'
  const roofline = compilerWorks ? await checkRoofline(measure) : unmeasured('there is no working compiler')
  const findings = [
    checkNode(),
    checkCpu(detectCpuFeatures()),
    checkMemory(),
    compiler,
    checkCache(),
    ...lastError,
    checkDevices(compilerWorks),
    roofline,
    workers,
    checkFonts(),
    ...environmentFinding(readEnvironment),
  ]
  const ok = findings.every((finding) => finding.status !== 'problem')
  return { version: manifest.version, ok, seconds: (performance.now() - started) / 1000, findings }
}

export const command: CliCommand = {
  args: {
    json: { type: 'boolean', description: 'Print the report as JSON' },
    measure: { type: 'boolean', description: 'Measure the roofline again, which is otherwise done once a machine' },
  },
  async run({ json, measure }) {
    const report = await examine(measure === true)
    process.stdout.write(
      json === true ? `${JSON.stringify(report, null, 2)}\n` : formatReport(report, colorsFor(process.stdout)),
    )
    return report.ok ? EXIT.ok : EXIT.failure
  },
}
