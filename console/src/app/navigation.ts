import {
  IconApps,
  IconArchive,
  IconBinaryTree2,
  IconDatabaseSearch,
  IconDownload,
  IconFlame,
  IconHistory,
  IconId,
  IconKey,
  IconMapPin,
  IconServer2,
  IconSettings,
  IconShield,
  IconTopologyStar3,
  IconUsers,
  type Icon,
} from '@tabler/icons-react';
import type { en } from '@/i18n/en';
import type { ObjectKind } from './session';

interface Entry {
  path: string;
  name: keyof typeof en.nav;
  icon: Icon;
  /** What one has to be permitted to look at; nothing: it is everybody's own. */
  object?: ObjectKind;
}

interface Group {
  name: keyof typeof en.nav;
  entries: Entry[];
}

export const NAVIGATION: Group[] = [
  {
    name: 'distribute',
    entries: [
      { path: '/clusters', name: 'clusters', icon: IconServer2, object: 'clusters' },
      { path: '/topology', name: 'topology', icon: IconTopologyStar3, object: 'clusters' },
      { path: '/placement', name: 'match', icon: IconMapPin, object: 'clusters' },
      { path: '/peers', name: 'peers', icon: IconBinaryTree2, object: 'peers' },
      { path: '/jobs', name: 'jobs', icon: IconFlame, object: 'jobs' },
      { path: '/tasks', name: 'tasks', icon: IconDatabaseSearch, object: 'jobs' },
      { path: '/downloads', name: 'downloads', icon: IconDownload, object: 'traces' },
      { path: '/kept', name: 'kept', icon: IconArchive, object: 'persistent-cache-tasks' },
    ],
  },
  {
    name: 'govern',
    entries: [
      { path: '/applications', name: 'applications', icon: IconApps, object: 'applications' },
      { path: '/settings', name: 'settings', icon: IconSettings, object: 'configs' },
      { path: '/users', name: 'users', icon: IconUsers, object: 'users' },
      { path: '/roles', name: 'roles', icon: IconShield, object: 'roles' },
      { path: '/tokens', name: 'tokens', icon: IconKey },
      { path: '/providers', name: 'providers', icon: IconId, object: '*' },
      { path: '/audits', name: 'audits', icon: IconHistory, object: 'audits' },
    ],
  },
];
