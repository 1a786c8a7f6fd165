import { Button, Container, Stack, Text, Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link, isRouteErrorResponse, useRouteError } from 'react-router';

/** In place of a page that failed or does not exist; the rest of the console stays. */
export function Crash() {
  const { t } = useTranslation();
  const error = useRouteError();
  const isMissing = isRouteErrorResponse(error) && error.status === 404;
  const reason = error instanceof Error ? error.message : '';
  return (
    <Container size="xs" py="xl">
      <Stack align="flex-start" role={isMissing ? undefined : 'alert'}>
        <Title order={1} size="h2">
          {isMissing ? t('error.notFound') : t('error.crashed')}
        </Title>
        <Text c="dimmed">{isMissing ? t('error.notFoundText') : reason}</Text>
        <Button component={Link} to="/clusters">
          {t('error.home')}
        </Button>
      </Stack>
    </Container>
  );
}

/** Where no other page is. */
export function Missing() {
  const { t } = useTranslation();
  return (
    <Stack align="flex-start" py="xl">
      <Title order={1} size="h2">
        {t('error.notFound')}
      </Title>
      <Text c="dimmed">{t('error.notFoundText')}</Text>
      <Button component={Link} to="/clusters">
        {t('error.home')}
      </Button>
    </Stack>
  );
}
