/** Command lines that users can copy: the program as they started it, from a clone or as an installed package. */

/** `longzhou ...words` for a shell. */
export function commandLine(words: readonly string[]): string {
  const program = import.meta.url.endsWith('.ts') ? 'npm run longzhou --' : 'npx longzhou'
  return [program, ...words.map(quoted)].join(' ')
}

/** A word in single quotes where a shell would read more into it. */
function quoted(word: string): string {
  return /^[\p{L}\p{N}_@%+=:,./-]+$/u.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
