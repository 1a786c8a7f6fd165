import { useTranslation } from 'react-i18next';
import { useAction } from '@/forms/useAction';
import { Confirm } from './Confirm';

interface Props {
  name: string;
  text?: string;
  /** Whose list changes. */
  kind: string;
  remove: () => Promise<void>;
  onClose: () => void;
}

/** Asks before an entry of a list is deleted. */
export function DeleteDialog({ name, text, kind, remove, onClose }: Props) {
  const { t } = useTranslation();
  const action = useAction({ run: remove, changes: [kind], done: t('common.deleted'), showsFailure: true });
  return (
    <Confirm
      title={t('common.confirmDelete', { name })}
      text={text}
      label={t('common.delete')}
      action={action}
      onClose={onClose}
    />
  );
}
