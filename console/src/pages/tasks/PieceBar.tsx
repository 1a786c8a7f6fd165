import { Stack, Text } from '@mantine/core';
import classes from './PieceBar.module.css';
import { runs } from './pieces';

/** A content from its beginning to its end, the darker the more of it is there; and the same in words. */
export function PieceBar({ shares, text }: { shares: number[]; text: string }) {
  return (
    <Stack gap={4} miw={180}>
      <svg
        className={classes.bar}
        viewBox={`0 0 ${Math.max(shares.length, 1)} 1`}
        preserveAspectRatio="none"
        aria-hidden
      >
        {runs(shares).map(({ from, length, share }) => (
          <rect key={from} x={from} width={length} height={1} fillOpacity={share} />
        ))}
      </svg>
      <Text size="xs" className="whole">
        {text}
      </Text>
    </Stack>
  );
}
