import { stringify } from 'yaml';
import type { Cluster } from '@/api/clusters';

/** Where a cluster finds its manager, and where its pods run. */
export interface Place {
  host: string;
  restPort: number;
  grpcPort: number;
  /** Peers name the cluster themselves; else its scopes decide. */
  pin: boolean;
  /** A label of nodes as `key=value`; empty: all nodes. */
  nodes: string;
}

/** The values with which a cluster's scheduler, seed peers and peers are installed beside an existing manager. */
export function helmValues(cluster: Cluster, place: Place): string {
  const nodeSelector = selector(place.nodes);
  const values = {
    manager: { enable: false },
    externalManager: { host: place.host, restPort: place.restPort, grpcPort: place.grpcPort },
    mysql: { enable: false },
    redis: { enable: false },
    scheduler: {
      ...nodeSelector,
      config: { manager: { schedulerClusterID: cluster.scheduler_cluster_id } },
    },
    seedClient: {
      ...nodeSelector,
      config: { ...hostOf(cluster, place), seedPeer: { clusterID: cluster.seed_peer_cluster_id } },
    },
    client: { ...nodeSelector, config: hostOf(cluster, place) },
  };
  return `# ${comment(cluster)}\n${stringify(values, { aliasDuplicateObjects: false })}`;
}

/** What a host says of itself. Of alternatives it can say only one: the first. */
function hostOf({ scopes, scheduler_cluster_id }: Cluster, { pin }: Place): { host?: Record<string, string | number> } {
  if (pin) {
    return { host: { schedulerClusterID: scheduler_cluster_id } };
  }
  const [idc] = (scopes.idc ?? '').split('|');
  const host = { ...(idc && { idc }), ...(scopes.location && { location: scopes.location }) };
  return Object.keys(host).length === 0 ? {} : { host };
}

function selector(nodes: string): { nodeSelector?: Record<string, string> } {
  const [key, value] = nodes.split('=');
  return key && value !== undefined ? { nodeSelector: { [key]: value } } : {};
}

/** A name may hold anything; a comment ends at the end of its line. */
function comment(cluster: Cluster): string {
  return `Dragonfly: cluster ${cluster.id}, ${cluster.name.replaceAll(/\s+/g, ' ')}`;
}

/** The line that installs them. */
export function installLine(cluster: Cluster): string {
  return `helm install --wait --create-namespace --namespace dragonfly-system dragonfly deploy/helm/dragonfly --values ${fileName(cluster)}`;
}

export function fileName(cluster: Cluster): string {
  return `dragonfly-cluster-${cluster.id}.yaml`;
}
