import { Group, Select, TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { IconSearch } from '@tabler/icons-react';
import { useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

/** Above a list: what of it is shown. */
export function Filters({ children }: { children: ReactNode }) {
  return (
    <Group mb="md" gap="sm" align="flex-end">
      {children}
    </Group>
  );
}

interface TextProps {
  label: string;
  value: string | undefined;
  onChange: (value: string) => void;
}

/** The server is asked when the typing rests. */
export function TextFilter({ label, value, onChange }: TextProps) {
  const [text, setText] = useState(value ?? '');
  const ask = useDebouncedCallback(onChange, 300);
  return (
    <TextInput
      label={label}
      value={text}
      leftSection={<IconSearch size={16} aria-hidden />}
      onChange={({ currentTarget }) => {
        setText(currentTarget.value);
        ask(currentTarget.value.trim());
      }}
    />
  );
}

interface ChoiceProps<V extends string> {
  label: string;
  value: V | undefined;
  options: { value: V; label: string }[];
  onChange: (value: V | null) => void;
}

export function ChoiceFilter<V extends string>({ label, value, options, onChange }: ChoiceProps<V>) {
  const { t } = useTranslation();
  return (
    <Select
      label={label}
      placeholder={t('common.any')}
      data={options}
      value={value ?? null}
      clearable
      searchable={options.length > 8}
      onChange={(chosen) => onChange(options.find((option) => option.value === chosen)?.value ?? null)}
      clearButtonProps={{ 'aria-label': `${label}: ${t('common.any')}` }}
    />
  );
}
