/**
 * Ctrl-C during a run: the first one asks the run to stop after its step, a second one ends the process at once. Where nobody else
 * listens for it, the process ends with code 130 when the run has saved itself, as it would have without us.
 */

/** The exit code of a process that Ctrl-C ended. */
export const interruptedExitCode = 130

export interface InterruptWatch {
  /** Whether Ctrl-C was pressed. */
  readonly requested: boolean
  /** Stops listening. */
  stop(): void
  /** Ends the process, unless others listen for Ctrl-C: then the run just returns. */
  exit(): void
}

/** Listens for Ctrl-C until `stop`. `say` tells the user what happens. */
export function watchInterrupts(say: (text: string) => void): InterruptWatch {
  const others = process.listenerCount('SIGINT')
  let requested = false
  const listener = (): void => {
    if (requested) process.exit(interruptedExitCode)
    requested = true
    say('Ctrl-C: finishing this step and saving; press again to end at once without')
  }
  process.on('SIGINT', listener)
  return {
    get requested() {
      return requested
    },
    stop: () => void process.off('SIGINT', listener),
    exit: () => {
      if (others === 0) process.exit(interruptedExitCode)
    },
  }
}
