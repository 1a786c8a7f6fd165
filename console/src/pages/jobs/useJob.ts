import { useQuery, useQueryClient, type UseQueryResult } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { JOBS, hasEnded, job, type Job } from '@/api/jobs';
import { POLL } from '@/api/live';

/** A job that says by itself when it has changed; where too many listen already, it is asked instead. */
export function useJob(id: number): { query: UseQueryResult<Job>; isLive: boolean } {
  const queries = useQueryClient();
  const [isLive, setLive] = useState(false);
  const query = useQuery({
    ...job(id),
    refetchInterval: ({ state }) => !isLive && state.data && !hasEnded(state.data.state) && POLL,
  });
  const isOpen = query.data !== undefined && !hasEnded(query.data.state);
  useEffect(() => {
    if (!isOpen) {
      return;
    }
    const source = new EventSource(`/api/v1/jobs/${id}/events`);
    const changed = () => void queries.invalidateQueries({ queryKey: [JOBS, id] });
    source.addEventListener('progress', changed);
    source.addEventListener('ended', changed);
    source.addEventListener('open', () => setLive(true));
    source.addEventListener('error', () => setLive(false));
    return () => {
      source.close();
      setLive(false);
    };
  }, [id, isOpen, queries]);
  return { query, isLive };
}
