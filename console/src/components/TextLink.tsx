import { Anchor, type AnchorProps } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'react-router';

interface Props extends AnchorProps {
  to: string;
  children: ReactNode;
  'aria-label'?: string;
}

/** A way to another page within text and tables. */
export function TextLink({ to, ...props }: Props) {
  return <Anchor component={Link} to={to} {...props} />;
}
