import { useParams } from 'react-router';

/** The id in the address; one that is no number is one that nothing has. */
export function useId(): number {
  const { id } = useParams();
  const number = Number(id);
  return Number.isSafeInteger(number) ? number : 0;
}
