import { Button, Group } from '@mantine/core';
import { useTranslation } from 'react-i18next';

interface Props {
  /** Of what, for those who hear the buttons one by one. */
  name: string;
  /** Nothing for rows that can only be deleted. */
  onEdit?: () => void;
  onDelete: () => void;
}

/** What can be done with one row of a list. */
export function RowActions({ name, onEdit, onDelete }: Props) {
  const { t } = useTranslation();
  return (
    <Group gap="xs" wrap="nowrap">
      {onEdit && (
        <Button size="xs" variant="default" aria-label={`${t('common.edit')}: ${name}`} onClick={onEdit}>
          {t('common.edit')}
        </Button>
      )}
      <Button size="xs" variant="default" aria-label={`${t('common.delete')}: ${name}`} onClick={onDelete}>
        {t('common.delete')}
      </Button>
    </Group>
  );
}
