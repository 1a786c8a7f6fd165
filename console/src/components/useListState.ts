import { useCallback } from 'react';
import { useSearchParams } from 'react-router';
import { PAGE_SIZE, type PageQuery } from '@/api/page';

interface ListState<F extends string> {
  /** As the API takes it. */
  pageQuery: PageQuery;
  /** What is looked for, by field; what is empty is left out. */
  filter: Partial<Record<F, string>>;
  setPage: (page: number) => void;
  setFilter: (field: F, value: string | null) => void;
}

/** Page and filters of a list stand in the address, so that it can be shared and gone back to. */
export function useListState<F extends string>(fields: readonly F[]): ListState<F> {
  const [params, setParams] = useSearchParams();
  const page = Math.max(1, Number(params.get('page')) || 1);
  const filter: Partial<Record<F, string>> = {};
  for (const field of fields) {
    const value = params.get(field);
    if (value) {
      filter[field] = value;
    }
  }
  const change = useCallback(
    (field: string, value: string | null) =>
      setParams(
        (before) => {
          const after = new URLSearchParams(before);
          after.delete('page');
          after.delete(field);
          if (value) {
            after.set(field, value);
          }
          return after;
        },
        { replace: field !== 'page' },
      ),
    [setParams],
  );
  return {
    pageQuery: { page, per_page: PAGE_SIZE },
    filter,
    setPage: (number) => change('page', number === 1 ? null : number.toString()),
    setFilter: change,
  };
}
