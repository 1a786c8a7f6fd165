import { Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Schemas } from '@/api/client';

/** Scopes in a line: the first of each kind, and how many more there are. */
export function ScopesInShort({ scopes }: { scopes: Schemas['Scopes'] }) {
  const { t } = useTranslation();
  const parts = [inShort(scopes.cidrs), inShort(scopes.hostnames), scopes.idc, scopes.location].filter(Boolean);
  return (
    <Text size="sm" {...(parts.length === 0 && { c: 'dimmed' })} lineClamp={2} className="breaks">
      {parts.length === 0 ? t('common.none') : parts.join(' · ')}
    </Text>
  );
}

function inShort(entries: string[] | null | undefined): string | undefined {
  const [first, ...others] = entries ?? [];
  return others.length === 0 ? first : `${first ?? ''} +${others.length}`;
}
