import { Box, SimpleGrid, Text } from '@mantine/core';
import type { ReactNode } from 'react';

/** Names and what they stand for; what is not there is left out. */
export function Facts({ of }: { of: [string, ReactNode][] }) {
  const known = of.filter(([, value]) => value !== undefined && value !== null && value !== '');
  return (
    <SimpleGrid component="dl" cols={{ base: 1, xs: 2, md: 3 }} spacing="md" verticalSpacing="sm" m={0}>
      {known.map(([name, value]) => (
        <Box key={name} miw={0}>
          <Text component="dt" size="xs" c="dimmed">
            {name}
          </Text>
          <Text component="dd" m={0} className="breaks">
            {value}
          </Text>
        </Box>
      ))}
    </SimpleGrid>
  );
}
