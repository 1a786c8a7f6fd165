import { expect, it } from 'vitest';
import { blockOf, withBlock } from './blockValues';

const HUGE = { applications: '', urls: '', tags: 'huge', priorities: '1\n2' };

it('replaces one part of a list and keeps the others', () => {
  const list = withBlock({ persistent_task: { upload: { tags: ['x'] } } }, ['task', 'download'], HUGE);
  expect(list.task?.download).toEqual({ applications: [], urls: [], tags: ['huge'], priorities: [1, 2] });
  expect(list.persistent_task?.upload?.tags).toEqual(['x']);
  expect(blockOf(list, ['task', 'download'])).toEqual(HUGE);
});

it('leaves out a part that is emptied', () => {
  const list = withBlock({}, ['task', 'download'], HUGE);
  const emptied = withBlock(list, ['task', 'download'], { applications: '', urls: ' \n', tags: '', priorities: '' });
  expect(emptied.task?.download).toBeNull();
});
