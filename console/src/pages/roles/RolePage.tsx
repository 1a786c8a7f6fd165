import { Button, Group, Select } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useNavigate, useParams } from 'react-router';
import { ROLES, deleteRole, forbid, permissionList, permit, role, type Permission } from '@/api/access';
import { SESSION } from '@/api/session';
import { useMay } from '@/app/session';
import { Confirm } from '@/components/Confirm';
import { Rows, type Column } from '@/components/DataTable';
import { Loaded } from '@/components/Loaded';
import { PageHeader } from '@/components/PageHeader';
import { Panel } from '@/components/Panel';
import { useAction } from '@/forms/useAction';
import { keyOf, rightOf, useRightName } from './rights';

export function Component() {
  const { t } = useTranslation();
  const { name = '' } = useParams();
  const mayChange = useMay('change', 'roles');
  const nameOf = useRightName();
  const rights = useQuery(role(name));
  const take = useAction({ run: (right: Permission) => forbid(name, right), changes: [ROLES, SESSION] });
  const shown: Column<Permission> = { title: t('roles.permissions'), cell: nameOf };
  const removal: Column<Permission> = {
    title: t('common.actions'),
    cell: (right) => (
      <Button
        size="xs"
        variant="default"
        aria-label={`${t('common.delete')}: ${nameOf(right)}`}
        onClick={() => take.mutate(right)}
      >
        {t('common.delete')}
      </Button>
    ),
  };
  return (
    <>
      <PageHeader title={name} text={t('roles.text')} actions={mayChange && <DeleteRole name={name} />} />
      <Panel title={t('roles.permissions')}>
        <Loaded query={rights}>
          {(triples) => {
            const has = triples.map(rightOf);
            return (
              <>
                <Rows
                  label={t('roles.permissions')}
                  rows={has}
                  rowKey={keyOf}
                  columns={mayChange ? [shown, removal] : [shown]}
                />
                {mayChange && <Permit name={name} has={has} />}
              </>
            );
          }}
        </Loaded>
      </Panel>
    </>
  );
}

function Permit({ name, has }: { name: string; has: Permission[] }) {
  const { t } = useTranslation();
  const nameOf = useRightName();
  const held = has.map(keyOf);
  const rights = (useQuery(permissionList).data ?? []).filter((right) => !held.includes(keyOf(right)));
  const [chosen, setChosen] = useState<string | null>(null);
  const right = rights.find((one) => keyOf(one) === chosen);
  const give = useAction({
    run: (wanted: Permission) => permit(name, wanted),
    changes: [ROLES, SESSION],
    onDone: () => setChosen(null),
  });
  return (
    <Group align="flex-end">
      <Select
        label={t('roles.permissions')}
        data={rights.map((one) => ({ value: keyOf(one), label: nameOf(one) }))}
        value={chosen}
        onChange={setChosen}
        searchable
      />
      <Button
        variant="default"
        disabled={!right}
        loading={give.isPending}
        onClick={() => {
          if (right) {
            give.mutate(right);
          }
        }}
      >
        {t('common.add')}
      </Button>
    </Group>
  );
}

function DeleteRole({ name }: { name: string }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [asking, setAsking] = useState(false);
  const remove = useAction({
    run: () => deleteRole(name),
    changes: [ROLES, SESSION],
    done: t('common.deleted'),
    onDone: () => void navigate('/roles'),
    showsFailure: true,
  });
  return (
    <>
      <Button variant="default" onClick={() => setAsking(true)}>
        {t('common.delete')}
      </Button>
      {asking && (
        <Confirm
          title={t('common.confirmDelete', { name })}
          label={t('common.delete')}
          action={remove}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  );
}
