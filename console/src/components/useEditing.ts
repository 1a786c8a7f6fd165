import { useState } from 'react';

/** What of a list is being changed, made or removed in a dialog: one thing at a time. */
export type Editing<T> = { what: 'add' } | { what: 'edit'; row: T } | { what: 'delete'; row: T } | null;

export function useEditing<T>() {
  const [editing, setEditing] = useState<Editing<T>>(null);
  return {
    editing,
    add: () => setEditing({ what: 'add' }),
    edit: (row: T) => setEditing({ what: 'edit', row }),
    remove: (row: T) => setEditing({ what: 'delete', row }),
    close: () => setEditing(null),
  };
}
