import { Button } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { roleList } from '@/api/access';
import { useMay } from '@/app/session';
import { Rows } from '@/components/DataTable';
import { Loaded } from '@/components/Loaded';
import { PageHeader } from '@/components/PageHeader';
import { Panel } from '@/components/Panel';
import { TextLink } from '@/components/TextLink';
import { AddRole } from './AddRole';

export function Component() {
  const { t } = useTranslation();
  const mayAdd = useMay('change', 'roles');
  const [adding, setAdding] = useState(false);
  const roles = useQuery(roleList);
  return (
    <>
      <PageHeader
        title={t('roles.title')}
        text={t('roles.text')}
        actions={
          mayAdd && (
            <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setAdding(true)}>
              {t('roles.add')}
            </Button>
          )
        }
      />
      <Panel title={t('users.roles')}>
        <Loaded query={roles}>
          {(names) => (
            <Rows
              label={t('roles.title')}
              rows={names}
              rowKey={(name) => name}
              columns={[
                {
                  title: t('common.name'),
                  cell: (name) => <TextLink to={`/roles/${encodeURIComponent(name)}`}>{name}</TextLink>,
                },
              ]}
            />
          )}
        </Loaded>
      </Panel>
      {adding && <AddRole onClose={() => setAdding(false)} />}
    </>
  );
}
