import { notifications } from '@mantine/notifications';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

interface Action<In, Out> {
  /** What is done. */
  run: (input: In) => Promise<Out>;
  /** The kinds of objects that may have changed by it. */
  changes: string[];
  /** What is said afterwards; nothing: the page says it by itself. */
  done?: string | ((out: Out) => string);
  onDone?: (out: Out) => void;
  /** Whether the page shows a failure itself. */
  showsFailure?: boolean;
}

/** A change of something: what it changed is read anew, and how it ended is told. */
export function useAction<In = void, Out = unknown>({
  run,
  changes,
  done,
  onDone,
  showsFailure = false,
}: Action<In, Out>) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: run,
    onSuccess: async (out) => {
      await Promise.all(changes.map((kind) => queries.invalidateQueries({ queryKey: [kind] })));
      const message = typeof done === 'function' ? done(out) : done;
      if (message !== undefined) {
        notifications.show({ message });
      }
      onDone?.(out);
    },
    onError: (error) => {
      if (!showsFailure) {
        notifications.show({ color: 'red', title: t('common.failed'), message: error.message });
      }
    },
  });
}
