import { Button, type ButtonProps } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'react-router';

interface Props extends ButtonProps {
  to: string;
  children: ReactNode;
}

/** A way to another page that looks like a button. */
export function LinkButton({ to, ...props }: Props) {
  return <Button component={Link} to={to} {...props} />;
}
