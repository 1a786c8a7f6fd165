import { Button, Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { signInWays } from '@/api/providers';

/** Ways to identity providers; nothing where there are none. They lead out of the console, and back signed in. */
export function Ways({ label }: { label: (name: string) => string }) {
  const ways = useQuery(signInWays).data ?? [];
  return (
    ways.length > 0 && (
      <Stack mt="md">
        {ways.map(({ name, path }) => (
          <Button key={name} component="a" href={path} variant="default">
            {label(name)}
          </Button>
        ))}
      </Stack>
    )
  );
}
