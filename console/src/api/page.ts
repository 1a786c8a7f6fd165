/** One page of a list, and how many entries all pages have. */
export interface Page<T> {
  rows: T[];
  total: number;
}

/** Which page, as the API takes it. */
export interface PageQuery {
  page: number;
  per_page: number;
}

/** How many entries a page has. */
export const PAGE_SIZE = 20;

/** The most that is read at once where a choice is made from all, such as among clusters. */
export const ALL: PageQuery = { page: 1, per_page: 1000 };

interface Answer<T> {
  data?: T;
  response: Response;
}

/** What an answer carries; there is no answer without, since refusals are exceptions. */
export async function data<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { data: content, response } = await answer;
  if (content === undefined) {
    throw new Error(`${response.url} answered nothing`);
  }
  return content;
}

export async function page<T>(answer: Promise<Answer<T[]>>): Promise<Page<T>> {
  const { data: rows = [], response } = await answer;
  return { rows, total: Number(response.headers.get('x-total-count') ?? rows.length) };
}
