/** `longzhou demo`: whole runs, one sub-command each. */
import type { CliCommand } from '../commands.ts'

export const command: CliCommand = {
  subCommands: [
    {
      name: 'receipts',
      description:
        'Fine-tune the base recogniser on synthetic bank-receipt lines, export it, check it, and read receipts with it',
      load: () => import('./demo-receipts.ts'),
    },
  ],
}
