import { createBrowserRouter, Navigate, type RouteObject } from 'react-router';
import { Component as SignIn } from '@/pages/session/SignIn';
import { Crash, Missing } from './Crash';
import { Gate } from './Gate';

/** Each page is read when it is first opened. */
const PAGES: RouteObject[] = [
  { index: true, element: <Navigate to="/clusters" replace /> },
  { path: 'clusters', lazy: () => import('@/pages/clusters/ClusterList') },
  { path: 'clusters/new', lazy: () => import('@/pages/clusters/AddCluster') },
  { path: 'clusters/:id', lazy: () => import('@/pages/clusters/ClusterPage') },
  { path: 'clusters/:id/edit', lazy: () => import('@/pages/clusters/EditCluster') },
  { path: 'topology', lazy: () => import('@/pages/topology/Topology') },
  { path: 'placement', lazy: () => import('@/pages/placement/Placement') },
  { path: 'peers', lazy: () => import('@/pages/peers/PeerList') },
  { path: 'peers/:id', lazy: () => import('@/pages/peers/PeerPage') },
  { path: 'jobs', lazy: () => import('@/pages/jobs/JobList') },
  { path: 'jobs/new', lazy: () => import('@/pages/preheat/Preheat') },
  { path: 'jobs/:id', lazy: () => import('@/pages/jobs/JobPage') },
  { path: 'kept', lazy: () => import('@/pages/kept/KeptList') },
  { path: 'tasks', lazy: () => import('@/pages/tasks/Tasks') },
  { path: 'downloads', lazy: () => import('@/pages/downloads/Downloads') },
  { path: 'downloads/:id', lazy: () => import('@/pages/downloads/DownloadPage') },
  { path: 'applications', lazy: () => import('@/pages/applications/ApplicationList') },
  { path: 'settings', lazy: () => import('@/pages/settings/SettingList') },
  { path: 'users', lazy: () => import('@/pages/users/UserList') },
  { path: 'users/:id', lazy: () => import('@/pages/users/UserPage') },
  { path: 'roles', lazy: () => import('@/pages/roles/RoleList') },
  { path: 'roles/:name', lazy: () => import('@/pages/roles/RolePage') },
  { path: 'tokens', lazy: () => import('@/pages/tokens/TokenList') },
  { path: 'providers', lazy: () => import('@/pages/providers/ProviderList') },
  { path: 'audits', lazy: () => import('@/pages/audits/AuditList') },
  { path: 'profile', lazy: () => import('@/pages/session/Profile') },
  { path: '*', element: <Missing /> },
];

export const router = createBrowserRouter([
  { path: '/signin', element: <SignIn />, errorElement: <Crash /> },
  {
    element: <Gate />,
    errorElement: <Crash />,
    // Nothing is shown yet while the first page is read.
    hydrateFallbackElement: <></>,
    // A page that fails leaves the shell around it alone.
    children: [{ errorElement: <Crash />, children: PAGES }],
  },
]);
