#!/usr/bin/env node
/** The command `longzhou`. */
import { runCli } from './run.ts'

// A reader that has seen enough (`longzhou doctor | head -1`) closes the pipe; that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit()
})

process.exitCode = await runCli(process.argv.slice(2))
