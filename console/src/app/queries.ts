import { QueryCache, QueryClient } from '@tanstack/react-query';
import { isFinal, isSignedOut } from '@/api/refused';
import { SESSION } from '@/api/session';

const RETRIES = 2;

/** What was read from the manager. A refusal is not asked again; an answer that the session has ended ends the page's. */
export const queries: QueryClient = new QueryClient({
  defaultOptions: {
    queries: { retry: (count, error) => count < RETRIES && !isFinal(error), staleTime: 1000 },
  },
  queryCache: new QueryCache({
    onError: (error, query) => {
      if (isSignedOut(error) && query.queryKey[0] !== SESSION) {
        void queries.invalidateQueries({ queryKey: [SESSION] });
      }
    },
  }),
});
