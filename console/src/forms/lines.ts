/** The entries of a field with one a line. */
export function lines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

/** Finds the first line for which `why` has an answer; lines count from 1, empty ones too. */
export function firstBad<P>(
  text: string,
  why: (line: string) => P | null,
): (P & { line: number; text: string }) | null {
  for (const [index, line] of text.split('\n').entries()) {
    const entry = line.trim();
    const problem = entry === '' ? null : why(entry);
    if (problem !== null) {
      return { ...problem, line: index + 1, text: entry };
    }
  }
  return null;
}
